package wire

import "testing"

// injections are bodies and what becomes of them; want is empty where they must not change.
var injections = []struct{ name, body, want string }{
	{"no stream_options", `{"model":"m","stream":true}`, `{"model":"m","stream":true,"stream_options":{"include_usage":true}}`},
	{"stream first and white space", "{\n  \"stream\" : true ,\n  \"model\": \"m\"\n}\n", "{\n  \"stream\" : true,\"stream_options\":{\"include_usage\":true} ,\n  \"model\": \"m\"\n}\n"},
	{"empty stream_options", `{"stream":true,"stream_options":{}}`, `{"stream":true,"stream_options":{"include_usage":true}}`},
	{"empty stream_options with a space", `{"stream":true,"stream_options":{ }}`, `{"stream":true,"stream_options":{"include_usage":true }}`},
	{"another option", `{"stream_options":{"x":[1]},"stream":true}`, `{"stream_options":{"include_usage":true,"x":[1]},"stream":true}`},
	{"include_usage is false", `{"stream":true,"stream_options":{"include_usage": false}}`, `{"stream":true,"stream_options":{"include_usage": true}}`},
	{"include_usage is null", `{"stream":true,"stream_options":{"include_usage":null}}`, `{"stream":true,"stream_options":{"include_usage":true}}`},
	{"stream_options is null", `{"stream":true,"stream_options":null}`, `{"stream":true,"stream_options":{"include_usage":true}}`},
	{"continuous usage alone", `{"stream":true,"stream_options":{"continuous_usage_stats":true}}`, `{"stream":true,"stream_options":{"include_usage":true,"continuous_usage_stats":false}}`},
	{"continuous usage, not included", `{"stream":true,"stream_options":{"continuous_usage_stats":true,"include_usage":false}}`, `{"stream":true,"stream_options":{"continuous_usage_stats":false,"include_usage":true}}`},
	{"not included, continuous usage", `{"stream":true,"stream_options":{"include_usage":false,"continuous_usage_stats":true}}`, `{"stream":true,"stream_options":{"include_usage":true,"continuous_usage_stats":false}}`},
	{"stream_options twice", `{"stream_options":{"include_usage":true},"stream":true,"stream_options":{}}`, `{"stream_options":{"include_usage":true},"stream":true,"stream_options":{"include_usage":true}}`},
	{"include_usage twice", `{"stream":true,"stream_options":{"include_usage":true,"include_usage":false}}`, `{"stream":true,"stream_options":{"include_usage":true,"include_usage":true}}`},
	{"stream twice", `{"stream":false,"stream":true}`, `{"stream":false,"stream":true,"stream_options":{"include_usage":true}}`},
	{"an escaped name", `{"stre\u0061m":true}`, `{"stre\u0061m":true,"stream_options":{"include_usage":true}}`},
	{"options within a message", `{"messages":[{"stream_options":{"include_usage":true}}],"stream":true}`, `{"messages":[{"stream_options":{"include_usage":true}}],"stream":true,"stream_options":{"include_usage":true}}`},

	{"asked already", `{"stream":true,"stream_options":{"include_usage":true}}`, ""},
	{"asked already, on every chunk", `{"stream":true,"stream_options":{"include_usage":true,"continuous_usage_stats":true}}`, ""},
	{"no stream", `{"model":"m"}`, ""},
	{"stream is false", `{"stream":false,"stream_options":{}}`, ""},
	{"stream is a word", `{"stream":"true"}`, ""},
	{"the last stream is false", `{"stream":true,"stream":false}`, ""},
	{"stream within a message", `{"messages":[{"stream":true}]}`, ""},
	{"include_usage is a word", `{"stream":true,"stream_options":{"include_usage":"no"}}`, ""},
	{"include_usage is an object", `{"stream":true,"stream_options":{"include_usage":{}}}`, ""},
	{"continuous usage is a number", `{"stream":true,"stream_options":{"continuous_usage_stats":1}}`, ""},
	{"stream_options is a list", `{"stream":true,"stream_options":[]}`, ""},
	{"not JSON", `{"stream":true`, ""},
	{"something after the body", `{"stream":true}{}`, ""},
	{"a list", `[{"stream":true}]`, ""},
	{"nothing", ``, ""},
}

func TestInjectUsageChangesOnlyWhatItMust(t *testing.T) {
	for _, path := range []string{chatPath, completionPath} {
		for _, c := range injections {
			out, injected := Match("POST", path).InjectUsage([]byte(c.body))
			want := c.want
			if want == "" {
				want = c.body
			}
			if string(out) != want || injected != (c.want != "") {
				t.Errorf("%s:\n got %t %s\nwant %t %s", c.name, injected, out, c.want != "", want)
			}
		}
	}
}

func TestInjectUsageLeavesEndpointsWithoutTheOptionAlone(t *testing.T) {
	if out, injected := Match("POST", embeddingPath).InjectUsage([]byte(`{"stream":true}`)); injected || string(out) != `{"stream":true}` {
		t.Errorf("got %t %s, want no change", injected, out)
	}
}

func TestInjectUsageKeepsTheBodyItWasGiven(t *testing.T) {
	body := []byte(`{"stream":true,"stream_options":{"include_usage":false}}`)
	before := string(body)
	if Match("POST", chatPath).InjectUsage(body); string(body) != before {
		t.Errorf("got %s, want %s", body, before)
	}
}
