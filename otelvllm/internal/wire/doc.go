// Package wire reads what requests to vLLM and its answers tell: model, parameters, events, content, usage, finish
// reasons, timings and errors. It takes the bytes as they pass, cut anywhere, keeps little of them, never fails, and
// knows neither OpenTelemetry nor a clock.
//
// Each endpoint has a file of its own and a row in the table of endpoints. A value counts only if the JSON text that
// holds it is valid to its end; what was not told is unknown, which is not zero.
//
// JSON is read as RFC 8259 has it and encoding/json does: no byte order mark, no NaN, bytes in strings that are not
// UTF-8 are let through and become U+FFFD in values. Names match exactly after their escapes are resolved, and of
// members with the same name the last counts.
package wire
