// Package sim is a simulated vLLM server, for tests, demonstrations and everyone without a GPU.
//
// From outside it is a vLLM 0.32.0: the same bytes on the inference endpoints of OpenAI's, Anthropic's and Cohere's APIs,
// streamed or not, with and without tools, on /inference/v1/generate, /invocations, the endpoints of pooling models and
// the WebSocket /v1/realtime, the same errors, and a /metrics that agrees with what was sent, token by token, in the
// dialect of vLLM's earlier versions if need be. It serves all of them at once, where vLLM serves what its model can.
// Inside, a scheduler with
// continuous batching, a paged KV cache with prefix caching, chunked prefill and preemption decides what is computed
// when; only the model is missing. It counts one token for every 4 bytes (CountTokens) and answers with words about
// nothing, which follow from Config.Seed and the prompt.
//
// An Engine is an http.Handler:
//
//	engine := sim.New(sim.Config{})
//	server := httptest.NewServer(engine)
//	engine.Fault(sim.Wedge) // silence, while /health stays 200
//	engine.Clear()
//
// All waiting is done with timers of package time, so in a testing/synctest bubble an engine runs in virtual time, and
// times are exact: see Timing.
package sim
