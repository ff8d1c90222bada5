package gpumetrics

import (
	"slices"

	"go.opentelemetry.io/otel/attribute"
)

// Instrument describes one metric of this package.
type Instrument struct {
	Metric, Unit, Description string
	Kind                      Kind
	// Whole tells that the instrument takes whole numbers.
	Whole bool
	// Attributes are the keys that data points can have, each with its values where they are a closed set.
	Attributes []Attribute
	// Buckets are the boundaries of a histogram.
	Buckets []float64
	// Tiers say how often it is read; none for what the monitor computes when it is collected.
	Tiers []Tier
	// Calls name where NVIDIA's library tells it. Absent says when there is no data point.
	Calls, Absent []string
}

// Attribute is a key and the values that it can have, in the order of their readings; none where
// they are not a closed set. Whole tells that the values are whole numbers, not texts.
type Attribute struct {
	Key    string
	Values []string
	Whole  bool
}

// Surface returns every metric of this package, those that readings give first. It is made from the
// table that the instruments are made from.
func Surface() []Instrument {
	var all []Instrument
	at := map[string]int{}
	for _, d := range slices.Concat(definitions, own) {
		at[d.name] = len(all)
		all = append(all, Instrument{
			Metric: d.name, Unit: d.unit, Description: d.description, Kind: d.kind, Whole: d.whole,
			Attributes: ownAttributes(d.name), Buckets: buckets[d.name],
		})
	}
	for _, r := range rows() {
		if i, ok := at[r.metric]; ok {
			all[i].add(r.attrs, r.tier, r.call, r.absent)
		}
	}
	for _, r := range partRows {
		if i, ok := at[r.metric]; ok {
			all[i].add(r.attrs, Slow, r.call, r.absent)
		}
	}
	return all
}

// add adds what one reading of the metric has.
func (i *Instrument) add(as attrs, tier Tier, call, absent string) {
	i.key(keyID)
	i.key(keyName)
	i.key(keyParent)
	for _, kv := range as {
		a := i.key(kv.Key)
		if v := kv.Value.AsString(); !slices.Contains(a.Values, v) {
			a.Values = append(a.Values, v)
		}
	}
	if !slices.Contains(i.Tiers, tier) {
		i.Tiers = append(i.Tiers, tier)
	}
	if !slices.Contains(i.Calls, call) {
		i.Calls = append(i.Calls, call)
	}
	if absent != "" && !slices.Contains(i.Absent, absent) {
		i.Absent = append(i.Absent, absent)
	}
}

func (i *Instrument) key(key attribute.Key) *Attribute {
	for n := range i.Attributes {
		if i.Attributes[n].Key == string(key) {
			return &i.Attributes[n]
		}
	}
	i.Attributes = append(i.Attributes, Attribute{Key: string(key)})
	return &i.Attributes[len(i.Attributes)-1]
}

// ownAttributes returns the attributes of a metric that the monitor makes itself.
func ownAttributes(metric string) (as []Attribute) {
	for _, d := range ownKeys {
		if own[d.metric].name == metric {
			for _, k := range d.keys {
				as = append(as, Attribute{Key: string(k), Values: closed(k), Whole: slices.Contains(wholeKeys, k)})
			}
		}
	}
	return as
}

// closed returns the values of a key where they are a closed set.
func closed(k attribute.Key) (values []string) {
	switch k {
	case keyState:
		for _, s := range statuses {
			values = append(values, string(s))
		}
	case keyDriver:
		for _, s := range driverStates {
			values = append(values, string(s))
		}
	case keyTier:
		for _, t := range tiers {
			values = append(values, t.String())
		}
	case keyAction:
		values = append(values, actions...)
	}
	return values
}
