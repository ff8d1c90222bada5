package wire

import "testing"

func TestRecordedTokenizing(t *testing.T) {
	checkRecordings(t, map[string]Facts{
		"tokenize":              {},
		"tokenize-chat":         {},
		"detokenize":            {},
		"err-tokenize-no-model": {Err: &Error{"404"}},
	})
	for name, want := range map[string]string{"tokenize": "tiny", "detokenize": "tiny", "err-tokenize-no-model": "nope"} {
		rec := record(t, name)
		if got := requestOf(rec.path, rec.request); got.Model != want || !got.Complete {
			t.Errorf("%s: got %+v, want the model %s", name, got, want)
		}
	}
}
