package demo

import (
	"github.com/otelvllm/otelvllm-go/gpumetrics"
	"github.com/otelvllm/otelvllm-go/gpumetrics/fake"
)

// GPUs are eight cards that are played. load tells how busy they are, from 0 to 1.
func GPUs(load func() float64) gpumetrics.Source {
	return fake.New(fake.H100s(8, fake.Share(load))...)
}
