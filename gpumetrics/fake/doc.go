// Package fake is a [gpumetrics.Source] whose GPUs follow scripts: for tests, demonstrations and
// dashboards on machines without a GPU.
//
// A [GPU] is a plain value: a [Model] of card, and a function of time that says what it does. Its
// readings follow from that: power from the work, energy from the power, temperature from both, and
// counts that never fall. Methods of GPU return a changed copy: a card that falls off the bus, a
// driver call that hangs, a rank that spins.
//
//	source := fake.New(fake.H100s(8, fake.Serve)...)
//	monitor, err := gpumetrics.New(source)
//
// What is read matches what real cards of the kind tell; what they do not tell is not supported
// here either.
package fake
