package engine

import (
	"os"
	"path/filepath"
	"testing"
)

// testdata returns the text of /metrics of one dialect.
func testdata(t testing.TB, name string) []byte {
	t.Helper()
	body, err := os.ReadFile(filepath.Join("..", "..", "..", "shared", "testdata", name))
	if err != nil {
		t.Skipf("the recordings are not here: %v", err)
	}
	return body
}
