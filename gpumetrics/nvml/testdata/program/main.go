// Program opens the GPUs of the library that its argument names and prints them.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/otelvllm/otelvllm-go/gpumetrics"
	"github.com/otelvllm/otelvllm-go/gpumetrics/nvml"
)

func main() {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	source := nvml.Source(nvml.WithLibraryPath(os.Args[1]))
	devices, err := source.Open(ctx)
	var unavailable *gpumetrics.UnavailableError
	if errors.As(err, &unavailable) {
		fmt.Println(unavailable.State)
		return
	}
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, d := range devices {
		var s gpumetrics.Sample
		err := d.Sample(gpumetrics.Fast, &s)
		v, ok := s.Value(gpumetrics.UtilizationGeneral)
		fmt.Println(d.Info().ID, v, ok, err)
	}
	fmt.Println(source.Close(ctx))
}
