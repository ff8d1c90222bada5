package gpumetrics

import (
	"fmt"
	"testing"
)

func TestReasonsOfMissingReadingsHaveWords(t *testing.T) {
	for m, want := range map[Miss]string{
		NotAsked: "not asked", NotSupported: "not supported", Denied: "denied", Failed: "failed", 9: "unknown",
	} {
		if got := fmt.Sprint(m); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

func TestASampleForTestsOfASource(t *testing.T) {
	var s Sample
	if !s.Wants(Power) || s.WantsLinkBytes() {
		t.Errorf("got %t and %t, want a new sample to want its readings and no bytes of links", s.Wants(Power), s.WantsLinkBytes())
	}
	s.Want(Power, false)
	s.WantLinkBytes(true)
	if s.Wants(Power) || !s.Wants(Energy) || !s.WantsLinkBytes() {
		t.Errorf("got %t, %t and %t, want what was said", s.Wants(Power), s.Wants(Energy), s.WantsLinkBytes())
	}
	s.Want(Power, true)
	if !s.Wants(Power) {
		t.Error("got a reading that is not wanted, want it back")
	}
	s.Want(Power, false)
	if s.Reset(); !s.Wants(Power) || s.WantsLinkBytes() {
		t.Error("got what was said before Reset, want a new sample")
	}
}
