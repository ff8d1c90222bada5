package wire

import (
	"reflect"
	"testing"
)

func TestRecordedPooling(t *testing.T) {
	told := func(id string, input int64) Facts {
		return Facts{ID: id, Model: "tiny", Usage: Usage{Input: known(input)}}
	}
	checkRecordings(t, map[string]Facts{
		"pooling":            told("pooling-b99ed4e1356c9b8c", 4),
		"pooling-classify":   told("pooling-9ba836b9fd8cf2d1", 4),
		"pooling-bytes":      told("pooling-87268884ae56708c", 4),
		"classify":           told("classify-97c22954321f92de", 8),
		"score":              told("score-8bdb254b2598db8a", 8),
		"score-embed":        told("score-bae01c28d8d486d2", 6),
		"score-v1":           told("score-a724787724a9dc87", 6),
		"rerank":             told("score-bf22fb86479d2705", 8),
		"rerank-embed":       told("score-907b2f5396648b56", 6),
		"rerank-top-1":       told("score-b003c88c8d0e746f", 6),
		"rerank-v2":          told("score-99e36c66d9a09b13", 6),
		"generative-scoring": told("generative-scoring-aec645b528c7e76a", 10),
		"score-classify2":    {Err: &Error{engineError}},
	})
}

func TestPoolingRequests(t *testing.T) {
	for _, c := range []struct {
		path, body string
		want       Request
	}{
		{
			"/pooling", `{"model":"m","input":"a","task":"embed","encoding_format":"bytes","dimensions":64}`,
			Request{Model: "m", EncodingFormats: []string{"bytes"}, Dimensions: known(64), Complete: true},
		},
		{"/classify", `{"model":"m","input":["a","b"],"n":3}`, Request{Model: "m", Complete: true}},
		{"/v1/score", `{"text_1":"a","text_2":["b"],"model":"m"}`, Request{Model: "m", Complete: true}},
		{"/v1/rerank", `{"model":"m","query":"a","documents":["b","c"],"top_n":1}`, Request{Model: "m", Complete: true}},
	} {
		if got := requestOf(c.path, []byte(c.body)); !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s: got %+v, want %+v", c.path, got, c.want)
		}
	}
}
