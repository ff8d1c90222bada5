package fake

import (
	"math"
	"time"
)

// What the meter assumes of a card.
const (
	room        = 28.0 // degrees around the card
	heatPerWatt = 0.055
	warming     = 20.0 // seconds in which most of a change of temperature happens
	throttleAt  = 87.0 // degrees
	spinPower   = 0.06 // of the power above idle that a kernel draws which only spins
	step        = time.Second
	maxSteps    = 3600 // of one look: scripts are watched
)

// meter follows a card through time: what grows, and what changes slowly.
type meter struct {
	started     bool
	at          time.Duration
	now         Activity
	power       float64 // W, now
	average     float64 // W, over about a second
	temperature float64 // of the core
	hot         bool    // the clock is held down by heat

	energy, pcieOut, pcieIn, links                 float64 // mJ, bytes, bytes, KiB
	heldPower, heldThermal, heldHW, heldBrake, low float64 // ns
}

// start puts the meter where a driver that has run for a while has its own: counts do not begin at 0.
func (m *meter) start(g *GPU) {
	m.started = true
	m.now = g.activity(0)
	m.power = g.watts(m.now, false)
	m.average, m.temperature = m.power, settled(m.now, m.power)
	m.energy = 86_400e3 * g.Model.IdlePower * float64(1+g.Index)
	m.pcieOut, m.pcieIn, m.links = 3e12, 9e12, 4e9
}

// watts is the power of an activity. A card whose clock is held down draws and does less.
func (g *GPU) watts(a Activity, held bool) float64 {
	work := clamp(a.Work)
	if held || a.PowerBrake {
		work = min(work, 0.4)
	}
	return g.Model.IdlePower + (g.Model.MaxPower-g.Model.IdlePower)*(spinPower*clamp(a.Utilization)+(1-spinPower)*work)
}

// settled is the temperature that the card comes to.
func settled(a Activity, watts float64) float64 {
	return room + a.Heat + 25*math.Tanh(watts/400) + heatPerWatt*math.Min(watts, 400)
}

// advance follows the script up to the given time, in steps of a second.
func (m *meter) advance(g *GPU, to time.Duration) {
	if !m.started {
		m.start(g)
	}
	if to-m.at > maxSteps*step {
		m.at = to - maxSteps*step
	}
	for m.at < to {
		d := min(step, to-m.at)
		m.at += d
		m.take(g, d)
	}
	m.now = g.activity(to)
	m.power = g.watts(m.now, m.hot)
}

// take adds one step that ends at m.at.
func (m *meter) take(g *GPU, d time.Duration) {
	a, s := g.activity(m.at), d.Seconds()
	m.power = g.watts(a, m.hot)
	m.average += (m.power - m.average) * -math.Expm1(-s)
	m.temperature += (settled(a, m.power) - m.temperature) * -math.Expm1(-s/warming)
	switch {
	case m.temperature >= throttleAt:
		m.hot = true
	case m.temperature < throttleAt-4:
		m.hot = false
	}
	work := (m.power - g.Model.IdlePower) / (g.Model.MaxPower - g.Model.IdlePower)
	m.energy += m.power * 1e3 * s
	m.pcieOut += work * 0.4e9 * s
	m.pcieIn += work * 1.1e9 * s
	m.links += work * 60e9 / 1024 * s
	held(&m.heldPower, s, capped(m.power, g))
	held(&m.heldThermal, s, m.hot)
	held(&m.heldHW, s, m.hot)
	held(&m.heldBrake, s, a.PowerBrake)
	held(&m.low, s, a.Utilization < 0.05)
}

// held adds the time in which a reason held the clock down.
func held(ns *float64, seconds float64, on bool) {
	if on {
		*ns += seconds * 1e9
	}
}

// capped tells that the card draws nearly what it may.
func capped(watts float64, g *GPU) bool { return watts > 0.97*g.Model.MaxPower }

// count makes a driver's count of a number that grows.
func count(v float64) uint64 { return uint64(max(0, v)) }
