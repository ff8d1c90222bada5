// Package test holds the tests of the whole: the rules about the source, the telemetry surface, README, and the
// journeys through more than one package.
package test
