package wire

import (
	"bytes"
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

// found is what a scanner showed of a text, by the path to it.
type found struct{ values map[string]any }

// probe is a schema that looks at a few paths.
var probe = func() *node[found] {
	at := func(path string) *node[found] {
		return &node[found]{on: func(f *found, v *visit) {
			if v.closing {
				return
			}
			switch v.kind {
			case kindString:
				f.values[path] = v.text()
			case kindNumber:
				f.values[path] = json.Number(v.raw)
			case kindTrue, kindFalse:
				f.values[path] = v.kind == kindTrue
			case kindNull:
				f.values[path] = nil
			case kindArray, kindObject:
				f.values[path] = v.kind
			}
		}}
	}
	deep := at("a.b")
	deep.members = []member[found]{{"c", at("a.b.c")}}
	a := at("a")
	a.members = []member[found]{{"b", deep}}
	a.element = at("a[]")
	root := at("")
	root.members = []member[found]{{"a", a}, {"ключ", at("ключ")}}
	return root
}()

func scanPieces(pieces ...[]byte) (map[string]any, bool) {
	f := found{values: map[string]any{}}
	var s scanner[found]
	s.reset(probe, &f)
	for _, p := range pieces {
		p = bytes.Clone(p)
		s.write(p)
		clear(p)
	}
	return f.values, s.whole()
}

// lookup finds the same with encoding/json. Elements of an array are overwritten, so only the last is compared.
func lookup(doc any) map[string]any {
	values := map[string]any{}
	put := func(path string, v any) {
		switch v.(type) {
		case []any:
			values[path] = kindArray
		case map[string]any:
			values[path] = kindObject
		default:
			values[path] = v
		}
	}
	put("", doc)
	root, _ := doc.(map[string]any)
	if v, ok := root["ключ"]; ok {
		put("ключ", v)
	}
	a, ok := root["a"]
	if !ok {
		return values
	}
	put("a", a)
	if list, _ := a.([]any); len(list) > 0 {
		put("a[]", list[len(list)-1])
	}
	object, _ := a.(map[string]any)
	if b, ok := object["b"]; ok {
		put("a.b", b)
		if inner, _ := b.(map[string]any); inner != nil {
			if c, ok := inner["c"]; ok {
				put("a.b.c", c)
			}
		}
	}
	return values
}

// checkScanner compares the scanner with encoding/json, and with itself when the text comes in pieces.
func checkScanner(t *testing.T, data []byte, cut int) {
	t.Helper()
	got, valid := scanPieces(data)
	doc, want := decode(data)
	if valid != want && !tooDeep(data) {
		t.Fatalf("%q: got valid %t, want %t", data, valid, want)
	}
	if valid && len(data) < maxRaw && !repeats(data) {
		for path, w := range lookup(doc) {
			if g, ok := got[path]; (!ok || g != w) && path != "" {
				t.Fatalf("%q at %q: got %#v, want %#v", data, path, g, w)
			}
		}
	}
	for path, v := range got {
		if s, ok := v.(string); ok && !utf8.ValidString(s) {
			t.Fatalf("%q at %q: got %q, which is not UTF-8", data, path, s)
		}
	}
	cut = min(max(cut, 0), len(data))
	for _, pieces := range [][][]byte{{data[:cut], data[cut:]}, cuts(data, 1)} {
		again, validAgain := scanPieces(pieces...)
		if validAgain != valid {
			t.Fatalf("%q in pieces: got valid %t, want %t", data, validAgain, valid)
		}
		for path, w := range got {
			if again[path] != w {
				t.Fatalf("%q in pieces at %q: got %#v, want %#v", data, path, again[path], w)
			}
		}
		if len(again) != len(got) {
			t.Fatalf("%q in pieces: got %v, want %v", data, again, got)
		}
	}
}

func tooDeep(data []byte) bool {
	return bytes.Count(data, []byte("["))+bytes.Count(data, []byte("{")) > maxDepth
}

// repeats reports whether a text may name a member twice on a path that is looked at: what stands within the first one
// is then still found, where encoding/json forgets it.
func repeats(data []byte) bool {
	return bytes.Count(data, []byte("a")) > 1 || bytes.Count(data, []byte("b")) > 1 || bytes.Contains(data, []byte("\\u"))
}

func FuzzScanner(f *testing.F) {
	for _, s := range []string{
		`{"a":{"b":{"c":"x\n\u00e9\ud83d\ude00\ud800"}}}`, `{"a":[1,-0.5e+7,"last"]}`, `{"\u043a\u043b\u044e\u0447":true}`,
		`[[[[{"a":[]}]]]]`, "\"\xff\xfe\"", `-`, `01`, `1.`, `1e`, `{"a":1,}`, `{"a":nul}`, `  3  `, "{\"a\":\"\x01\"}", "\uFEFF{}",
	} {
		f.Add([]byte(s), 3)
	}
	f.Fuzz(checkScanner)
}

func TestScannerAgreesWithEncodingJSONOnJSONTestSuite(t *testing.T) {
	forEachJSONTest(t, func(t *testing.T, name string, data []byte) {
		if len(data) < 2000 {
			for cut := range len(data) {
				checkScanner(t, data, cut)
			}
		}
		_, valid := scanPieces(data)
		if name[0] == 'y' && !valid || name[0] == 'n' && valid {
			t.Errorf("%s: got valid %t", name, valid)
		}
	})
}

func forEachJSONTest(t *testing.T, do func(t *testing.T, name string, data []byte)) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(sharedData(t, "JSONTestSuite"), "test_parsing", "*.json"))
	if err != nil || len(files) != 318 {
		t.Fatalf("got %d files, want 318: %v", len(files), err)
	}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		do(t, filepath.Base(file), data)
	}
}

func TestLongScalarsAreCutAtACharacter(t *testing.T) {
	for _, text := range []string{
		strings.Repeat("é", 200), "x" + strings.Repeat("é", 200), strings.Repeat("😀", 100), "abc" + strings.Repeat(`\ud83d\ude00`, 100),
		strings.Repeat(`\n`, 300), "x" + strings.Repeat(`\n`, 300), strings.Repeat(`\u00e9`, 100),
	} {
		data := []byte(`{"a":"` + text + `"}`)
		got, _ := scanPieces(cuts(data, 7)...)
		whole, ok := decode(data)
		if !ok {
			t.Fatal("the test's text is not valid")
		}
		s, full := got["a"].(string), whole.(map[string]any)["a"].(string)
		if !strings.HasPrefix(full, s) || len(s) == 0 || len(s) > maxRaw {
			t.Errorf("got %d bytes %q, want the beginning of %q", len(s), s, full[:20])
		}
	}
}

func TestIntegersAreWholeAndWithin53Bits(t *testing.T) {
	for raw, want := range map[string]Int{
		"0": known(0), "7": known(7), "-7": known(-7), "9007199254740992": known(1 << 53), "-9007199254740992": known(-1 << 53),
		"9007199254740993": {}, "-9007199254740993": {}, "99999999999999999999": {}, "-0": {}, "1e3": {}, "1.0": {}, "1.5": {},
		"-9223372036854775808": {}, "18446744073709551616": {},
	} {
		if got := (&visit{kind: kindNumber, raw: []byte(raw)}).integer(); got != want {
			t.Errorf("%s: got %+v, want %+v", raw, got, want)
		}
	}
	if got := (&visit{kind: kindString, raw: []byte("7")}).integer(); got.Known {
		t.Errorf("the string \"7\": got %+v, want unknown", got)
	}
}

func TestFloatsAreFinite(t *testing.T) {
	for raw, want := range map[string]Float{
		"0.7": {0.7, true}, "-2": {-2, true}, "1e999": {}, "-1e999": {}, "1e-999": {0, true},
		strings.Repeat("9", 300): {}, "1.7976931348623157e308": {math.MaxFloat64, true},
	} {
		v := visit{kind: kindNumber, raw: []byte(raw)}
		if len(raw) > maxRaw {
			v.raw, v.cut = v.raw[:maxRaw], true
		}
		if got := v.float(); got != want {
			t.Errorf("%.20s: got %+v, want %+v", raw, got, want)
		}
	}
}

func TestPlainLenStopsAtTheSameByteAsALoop(t *testing.T) {
	for c := range 256 {
		for at := range 20 {
			for before := range 256 {
				b := bytes.Repeat([]byte{byte(before)}, 24)
				b[at] = byte(c)
				want := 0
				for want < len(b) && b[want] >= ' ' && b[want] != '"' && b[want] != '\\' {
					want++
				}
				if got := plainLen(b); got != want {
					t.Fatalf("%q: got %d, want %d", b, got, want)
				}
				want = 0
				for want < len(b) && b[want] >= '0' && b[want] <= '9' {
					want++
				}
				if got := digitsLen(b); got != want {
					t.Fatalf("digits of %q: got %d, want %d", b, got, want)
				}
			}
		}
	}
}

// TestAScannerSeesAsManyLevelsAsItTracks uses a schema without an end.
func TestAScannerSeesAsManyLevelsAsItTracks(t *testing.T) {
	endless := new(node[int])
	endless.on = func(n *int, v *visit) { *n++ }
	endless.members = []member[int]{{"a", endless}}
	endless.element = endless
	for levels := 1; levels < maxTracked+5; levels++ {
		var s scanner[int]
		n := 0
		s.reset(endless, &n)
		s.write([]byte(strings.Repeat(`{"a":`, levels) + "7" + strings.Repeat("}", levels)))
		// Each object is seen twice, and the number once; of what is too deep only that it begins.
		if want := min(2*levels, 2*maxTracked) + 1; !s.whole() || n != want {
			t.Errorf("%d levels: got %d visits, want %d", levels, n, want)
		}
	}
}

// TestFault_C02_DeepNestingEndsTheReading nests arrays far beyond what is followed.
func TestFault_C02_DeepNestingEndsTheReading(t *testing.T) {
	deep := bytes.Repeat([]byte("["), 100_000)
	start := time.Now()
	if _, valid := scanPieces(deep); valid {
		t.Error("got a valid text, want none")
	}
	if took := time.Since(start); took > 50*time.Millisecond {
		t.Errorf("took %v", took)
	}
	at := func(n int) []byte {
		return []byte(strings.Repeat("[", n) + strings.Repeat("]", n))
	}
	if _, valid := scanPieces(at(maxDepth)); !valid {
		t.Errorf("%d levels: got not valid, want valid", maxDepth)
	}
	if _, valid := scanPieces(at(maxDepth + 1)); valid {
		t.Errorf("%d levels: got valid, want not valid", maxDepth+1)
	}
}
