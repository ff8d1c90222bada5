package wire

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"
)

// TestFault_C01_InvalidJSONNeverTellsACount puts each file of JSONTestSuite into every place where it may stand.
func TestFault_C01_InvalidJSONNeverTellsACount(t *testing.T) {
	const before, after = `{"usage":{"prompt_tokens":5,"completion_tokens":6},"x":`, `}`
	forEachJSONTest(t, func(t *testing.T, name string, data []byte) {
		wrapped := slices.Concat([]byte(before), data, []byte(after))
		valid := referenceBody(chatPath, wrapped).Invalid == 0
		_, body := answerOf(chatPath, 200, jsonBody, wrapped)
		if known := body.Usage.Input.Known; known != valid && !tooDeep(data) || known && name[0] == 'n' {
			t.Errorf("%s in a body: got %+v, want known %t", name, body.Usage, valid)
		}
		line := slices.Concat([]byte("data: "), wrapped, []byte("\n\n"))
		seen, streamed := answerOf(chatPath, 200, eventStream, line)
		wantSeen, want := referenceStream(chatPath, line)
		if !tooDeep(data) && (seen != wantSeen || !reflect.DeepEqual(streamed, want)) {
			t.Errorf("%s in a stream: got %+v, want %+v", name, streamed, want)
		}
		if name[0] == 'n' {
			for _, h := range [][]byte{data, slices.Concat(data, data)} {
				_, f := answerOf(chatPath, 200, jsonBody, h)
				if f.Usage != (Usage{}) || f.ID != "" || f.FinishReasons != nil {
					t.Errorf("%s alone: got %+v, want nothing", name, f)
				}
			}
			if r := requestOf(chatPath, wrapped); r.Complete && !valid {
				t.Errorf("%s in a request: got %+v, want nothing", name, r)
			}
		}
		Match("POST", chatPath).InjectUsage(data)
		restored(data)
	})
}

func TestFault_C03_TokenCountsAreWholeOrUnknown(t *testing.T) {
	for raw, want := range map[string]Int{
		"0": known(0), "7": known(7), "9007199254740992": known(1 << 53),
		"-1": {}, "-0": {}, "1e3": {}, "1.5": {}, "1.0": {}, "1e999": {}, `"7"`: {}, "true": {}, "[]": {}, "[7]": {}, "{}": {}, `{"a":7}`: {},
		"9007199254740993": {}, "9223372036854775808": {}, "12345678901234567890": {}, strings.Repeat("9", 1000): {}, "null": {},
	} {
		for name, doc := range map[string]string{
			"prompt_tokens":        `{"usage":{"prompt_tokens":%s}}`,
			"completion_tokens":    `{"usage":{"completion_tokens":%s}}`,
			"cached_tokens":        `{"usage":{"prompt_tokens_details":{"cached_tokens":%s}}}`,
			"created_cache_tokens": `{"usage":{"prompt_tokens_details":{"created_cache_tokens":%s}}}`,
			"reasoning_tokens":     `{"usage":{"completion_tokens_details":{"reasoning_tokens":%s}}}`,
		} {
			_, f := answerOf(chatPath, 200, jsonBody, []byte(fmt.Sprintf(doc, raw)))
			u := f.Usage
			got := map[string]Int{
				"prompt_tokens": u.Input, "completion_tokens": u.Output, "cached_tokens": u.Cached,
				"created_cache_tokens": u.CacheWrite, "reasoning_tokens": u.Reasoning,
			}[name]
			wantInvalid := int64(1)
			if want.Known || raw == "null" { // null is how vLLM says that it did not count
				wantInvalid = 0
			}
			if got != want || f.Invalid != wantInvalid {
				t.Errorf("%s: %.30s: got %+v and %d invalid, want %+v and %d", name, raw, got, f.Invalid, want, wantInvalid)
			}
		}
	}
	if _, f := answerOf(chatPath, 200, jsonBody, []byte(`{"usage":{"prompt_tokens":NaN}}`)); f.Usage != (Usage{}) || f.Invalid != 1 {
		t.Errorf("NaN: got %+v, want nothing but one invalid", f)
	}
}

func TestFault_C04_CountsAreKeptAsToldEvenIfTheyDoNotAddUp(t *testing.T) {
	_, f := answerOf(chatPath, 200, jsonBody, []byte(`{"usage":{"prompt_tokens":5,"completion_tokens":6,"total_tokens":1,"prompt_tokens_details":{"cached_tokens":99}}}`))
	if want := (Usage{Input: known(5), Output: known(6), Cached: known(99)}); f.Usage != want || f.Invalid != 0 {
		t.Errorf("got %+v, want %+v", f, want)
	}
}

func TestFault_C05_NamesMatchExactlyAndTheLastCounts(t *testing.T) {
	for body, want := range map[string]Usage{
		`{"usage":{"prompt_tokens":1,"prompt_tokens":2}}`:                                                      {Input: known(2)},
		`{"usage":{"prompt_tokens":1},"usage":{"completion_tokens":2}}`:                                        {Output: known(2)},
		`{"usage":{"prompt_tokens":1},"usage":null}`:                                                           {},
		`{"usage":{"prompt_tokens":1,"prompt_tokens":"2"}}`:                                                    {},
		`{"us\u0061ge":{"prompt\u005Ftokens":1}}`:                                                              {Input: known(1)},
		`{"USAGE":{"PROMPT_TOKENS":1},"Usage":{"Prompt_Tokens":1}}`:                                            {},
		`{"usage":{"prompt_tokens":1,"prompt_tokens_details":{"cached_tokens":1},"prompt_tokens_details":{}}}`: {Input: known(1)},
		"\uFEFF" + `{"usage":{"prompt_tokens":1}}`:                                                             {},
		`{"usage":{"prompt_tokens":1}}x`:                                                                       {},
		`{"usage":{"prompt_tokens":1}}{}`:                                                                      {},
		` {"usage" : {"prompt_tokens" : 1 } } ` + "\r\n\t":                                                     {Input: known(1)},
		`[{"usage":{"prompt_tokens":1}}]`:                                                                      {},
		`{"choices":[{"usage":{"prompt_tokens":1}}],"x":{"usage":{"prompt_tokens":1}}}`:                        {},
		`{"` + strings.Repeat("x", 300) + `":1,"usage":{"prompt_tokens":1}}`:                                   {Input: known(1)},
	} {
		for _, n := range []int{0, 1, 9} {
			if _, f := answerOf(chatPath, 200, jsonBody, cuts([]byte(body), n)...); f.Usage != want {
				t.Errorf("%s in pieces of %d bytes: got %+v, want %+v", body, n, f.Usage, want)
			}
		}
	}
}

func TestFault_C06_WhatIsNotUTF8IsReplaced(t *testing.T) {
	for raw, want := range map[string]string{
		`\ud800`:                 "\uFFFD",
		`\udc00\ud800`:           "\uFFFD\uFFFD",
		`\ud83d\ude00`:           "😀",
		`\ud83dx`:                "\uFFFDx",
		"\xff\xfe":               "\uFFFD\uFFFD",
		"\xe2\x82":               "\uFFFD\uFFFD",
		"\xed\xa0\x80":           "\uFFFD\uFFFD\uFFFD",
		`\u0000\"\\\/\b\f\n\r\t`: "\x00\"\\/\b\f\n\r\t",
	} {
		for _, n := range []int{0, 1} {
			body := []byte(`{"id":"` + raw + `"}`)
			if _, f := answerOf(chatPath, 200, jsonBody, cuts(body, n)...); f.ID != want {
				t.Errorf("%q in pieces of %d bytes: got %q, want %q", raw, n, f.ID, want)
			}
			if r := requestOf(chatPath, cuts([]byte(`{"model":"`+raw+`"}`), n)...); r.Model != want {
				t.Errorf("%q as a model, in pieces of %d bytes: got %q, want %q", raw, n, r.Model, want)
			}
		}
	}
}

func TestFault_C07_AModelIsAShortStringOrNone(t *testing.T) {
	for _, model := range []string{`7`, `null`, `{}`, `{"model":"x"}`, `["x"]`, `true`, `""`} {
		if r := requestOf(chatPath, []byte(`{"model":`+model+`}`)); r.Model != "" || !r.Complete {
			t.Errorf("%s: got %+v, want no model", model, r)
		}
	}
	if r := requestOf(chatPath, []byte(`{}`)); r.Model != "" {
		t.Errorf("no model: got %q", r.Model)
	}
	for _, long := range []string{strings.Repeat("x", 1<<20), strings.Repeat("é", 1<<19)} {
		r := requestOf(chatPath, cuts([]byte(`{"model":"`+long+`","n":2}`), 4096)...)
		if len(r.Model) > maxRaw || len(r.Model) < maxRaw-4 || !utf8.ValidString(r.Model) || r.Choices != known(2) {
			t.Errorf("1 MB: got %d bytes of model and n %+v", len(r.Model), r.Choices)
		}
	}
	odd := "a\n\x1b[31m<script>\u202e"
	if r := requestOf(chatPath, []byte(`{"model":"a\n\u001b[31m<script>\u202e"}`)); r.Model != odd {
		t.Errorf("got %q, want %q: making it fit to show is not the reader's", r.Model, odd)
	}
}

func TestFault_C08_ACutBodyTellsNoWrongValue(t *testing.T) {
	body := `{"model":"llama-70b","max_tokens":1234,"temperature":0.75,"stop":["end","fin"],"usage":{"prompt_tokens":1234}}`
	whole := requestOf(chatPath, []byte(body))
	for cut := range len(body) {
		r := requestOf(chatPath, []byte(body[:cut]))
		if r.Complete || r.Model != "" && r.Model != whole.Model || r.MaxTokens.Known && r.MaxTokens != whole.MaxTokens ||
			r.Temperature.Known && r.Temperature != whole.Temperature || !slices.Equal(r.Stop, whole.Stop[:len(r.Stop)]) {
			t.Fatalf("cut at %d: got %+v", cut, r)
		}
		if _, f := answerOf(chatPath, 200, jsonBody, []byte(body[:cut])); f.Usage != (Usage{}) || f.Model != "" {
			t.Fatalf("cut at %d: got %+v, want nothing", cut, f)
		}
	}
}

func TestFault_C10_HugeCountsAreKeptAsTold(t *testing.T) {
	_, f := stream(chatPath, events(`{"usage":{"prompt_tokens":1000000000000,"completion_tokens":9007199254740992}}`, `{"usage":{"completion_tokens":9007199254740993}}`))
	if want := (Usage{Input: known(1e12), Output: known(1 << 53)}); f.Usage != want || f.Invalid != 1 {
		t.Errorf("got %+v, want %+v and one invalid", f, want)
	}
}

func TestTimingsAreTimesOrUnknown(t *testing.T) {
	for raw, want := range map[string]Float{
		"0": {0, true}, "1500": {1.5, true}, "0.5": {0.0005, true}, "-1": {}, "-0.0": {}, "1e300": {}, `"5"`: {}, "null": {}, "[]": {},
		strings.Repeat("9", 300): {},
	} {
		_, f := answerOf(chatPath, 200, jsonBody, []byte(`{"metrics":{"queue_time_ms":`+raw+`,"time_to_first_token_ms":1000,"generation_time_ms":2000}}`))
		wantInvalid := int64(1)
		if want.Known || raw == "null" {
			wantInvalid = 0
		}
		if f.Timings != (Timings{want, Float{1, true}, Float{2, true}}) || f.Invalid != wantInvalid {
			t.Errorf("%.20s: got %+v and %d invalid, want queue %+v and %d", raw, f.Timings, f.Invalid, want, wantInvalid)
		}
	}
}
