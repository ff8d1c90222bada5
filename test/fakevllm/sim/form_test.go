package sim_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"testing"
)

// form describes a body without what differs between models: the keys in their order, the kind of each value, and the
// words that have a meaning. Several like things in a row are one. A stream has one line for each event.
func form(t *testing.T, body []byte) string {
	t.Helper()
	if !bytes.HasPrefix(body, []byte("data: ")) && !bytes.HasPrefix(body, []byte("event: ")) {
		return formJSON(t, body)
	}
	var lines []string
	for _, event := range strings.Split(strings.TrimRight(string(body), "\n"), "\n\n") {
		kind := ""
		if strings.HasPrefix(event, "event: ") {
			kind, event, _ = strings.Cut(event, "\n")
		}
		data, ok := strings.CutPrefix(event, "data: ")
		if !ok {
			t.Fatalf("event without data: %q", event)
		}
		line := data
		if data != "[DONE]" {
			line = formJSON(t, []byte(data))
			// Whether the last token and one with a log probability has a text depends on the model.
			if strings.Contains(line, "finish_reason:=") {
				line = lastDelta.ReplaceAllString(line, "delta:{},logprobs")
			}
			if strings.Contains(line, "logprobs:{") {
				line = strings.ReplaceAll(line, "delta:{content:string}", "delta:{}")
			}
		}
		if line = strings.TrimSpace(kind + " " + line); len(lines) == 0 || lines[len(lines)-1] != line {
			lines = append(lines, line)
		}
	}
	return strings.Join(lines, "\n")
}

var lastDelta = regexp.MustCompile(`delta:\{.*\},logprobs`)

func formJSON(t *testing.T, body []byte) string {
	t.Helper()
	d := json.NewDecoder(bytes.NewReader(body))
	d.UseNumber()
	f, err := formValue(d, "")
	if err != nil {
		t.Fatalf("%v in %s", err, body)
	}
	return f
}

// telling are the keys whose values are compared.
var telling = map[string]bool{
	"object": true, "finish_reason": true, "stop_reason": true, "role": true, "type": true,
	"model": true, "owned_by": true, "max_model_len": true,
}

func formValue(d *json.Decoder, key string) (string, error) {
	token, err := d.Token()
	if err != nil {
		return "", err
	}
	switch v := token.(type) {
	case json.Delim:
		if v == '[' {
			return formArray(d, key)
		}
		return formObject(d, key)
	case nil:
		return "null", nil
	default:
		if telling[key] {
			return fmt.Sprintf("=%v", v), nil
		}
		return fmt.Sprintf("%T", v), nil
	}
}

func formArray(d *json.Decoder, key string) (string, error) {
	var items []string
	for d.More() {
		item, err := formValue(d, key)
		if err != nil {
			return "", err
		}
		if len(items) == 0 || items[len(items)-1] != item {
			items = append(items, item)
		}
	}
	_, err := d.Token()
	if key == "bytes" { // may be empty
		return "[…]", err
	}
	return "[" + strings.Join(items, " ") + "]", err
}

func formObject(d *json.Decoder, key string) (string, error) {
	var items []string
	byToken := key == "top_logprobs" || key == "prompt_logprobs"
	for d.More() {
		name, err := d.Token()
		if err != nil {
			return "", err
		}
		value, err := formValue(d, name.(string))
		if err != nil {
			return "", err
		}
		item := name.(string) + ":" + value
		if byToken && name != "token" && name != "logprob" && name != "bytes" && name != "rank" && name != "decoded_token" {
			item = "some token:" + value
			if len(items) > 0 && items[0] == item {
				continue
			}
		}
		items = append(items, item)
	}
	_, err := d.Token()
	return "{" + strings.Join(items, ",") + "}", err
}
