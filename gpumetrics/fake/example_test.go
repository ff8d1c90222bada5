package fake_test

import (
	"context"
	"fmt"
	"time"

	"github.com/otelvllm/otelvllm-go/gpumetrics"
	"github.com/otelvllm/otelvllm-go/gpumetrics/fake"
)

// A server of four cards, of which one falls off the bus after a minute. The scripts play by the clock that the test
// sets.
func Example() {
	cards := fake.H100s(4, fake.Serve)
	cards[2] = cards[2].FallsOffTheBus(time.Minute)
	source := fake.New(cards...)
	now := time.Date(2026, 11, 24, 3, 0, 0, 0, time.UTC)
	source.Clock = func() time.Time { return now }

	devices, err := source.Open(context.Background())
	if err != nil {
		fmt.Println(err)
		return
	}
	var sample gpumetrics.Sample
	fmt.Println(devices[2].Sample(gpumetrics.Fast, &sample))

	now = now.Add(2 * time.Minute)
	event, err := source.NextEvent(context.Background())
	fmt.Println(event.XID, gpumetrics.XID(event.XID).Action, err)
	fmt.Println(devices[2].Sample(gpumetrics.Fast, &sample))
	// Output:
	// <nil>
	// 79 restart_machine <nil>
	// the driver has lost the GPU
}
