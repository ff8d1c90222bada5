package otelvllm

import (
	"strconv"
	"sync"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
)

// Bounds on the metric labels that traffic can fill.
const (
	maxModels    = 64  // model names with a label of their own, beside the pinned ones
	maxErrors    = 64  // error types with a label of their own, our own words among them, beside HTTP statuses
	maxLabelSets = 512 // attribute sets kept ready; rarer ones are built when needed
	labelOther   = "other"
	errorOther   = "_OTHER" // the conventions' word for an error type that is not told
)

// labels makes the attribute sets of the metrics. A model name gets a label of its own if it is
// pinned or if the engine has answered for it; every other one is "other", so that a million junk
// names cost one series.
type labels struct {
	pinned map[string]bool

	mu     sync.RWMutex
	models map[string]bool
	errors map[string]bool
	sets   map[labelKey][]metric.RecordOption
	adds   map[string][]metric.AddOption // by operation
}

type labelKey struct {
	short                                                          bool // operation and model alone
	operation, model, responseModel, address, errorType, tokenType string
	port                                                           int
}

func newLabels(pinned []string) *labels {
	l := &labels{pinned: make(map[string]bool), models: make(map[string]bool), errors: make(map[string]bool, maxErrors), sets: make(map[labelKey][]metric.RecordOption), adds: make(map[string][]metric.AddOption)}
	for _, m := range pinned {
		l.pinned[m] = true
	}
	for _, word := range []string{
		string(Unreachable), string(Truncated), string(CallerLeft), string(Deadline), string(Panicked),
		errRefused, errTimeout, errReset, errTLS, errDNS, "engine_error",
	} {
		l.errors[word] = true
	}
	return l
}

// confirm gives a model name a label of its own, as long as there is room: the engine has answered
// for it.
func (l *labels) confirm(model string) {
	if model == "" || len(model) > maxLabel || clean(model, maxLabel) != model || l.known(model) {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.models) < maxModels {
		l.models[model] = true
	}
}

func (l *labels) known(model string) bool {
	if l.pinned[model] {
		return true
	}
	l.mu.RLock()
	defer l.mu.RUnlock()
	return l.models[model]
}

// label returns the label of a model name; empty stays empty, which leaves the attribute out.
func (l *labels) label(model string) string {
	if model == "" || l.known(model) {
		return model
	}
	return labelOther
}

// errorLabel returns the label of an error type. An engine's own codes may be anything, a request's id among them: as many
// as there is room for get a label of their own.
func (l *labels) errorLabel(errorType string) string {
	if status, err := strconv.Atoi(errorType); err == nil && len(errorType) == 3 && status >= 400 {
		return errorType
	}
	l.mu.RLock()
	known := l.errors[errorType]
	l.mu.RUnlock()
	if known {
		return errorType
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.errors) >= maxErrors && !l.errors[errorType] {
		return errorOther
	}
	l.errors[errorType] = true
	return errorType
}

func (l *labels) base(c *Call) []metric.RecordOption { return l.get(l.key(c)) }

// gap is for the one metric that is recorded for each event of a stream: the SDK's cost of a record
// grows with the number of attributes, so it has two.
func (l *labels) gap(c *Call) []metric.RecordOption {
	return l.get(labelKey{short: true, operation: c.Operation, model: l.label(c.Model)})
}

func (l *labels) withError(c *Call) []metric.RecordOption {
	k := l.key(c)
	k.errorType = l.errorLabel(c.ErrorType)
	return l.get(k)
}

func (l *labels) withTokenType(c *Call, tokenType string) []metric.RecordOption {
	k := l.key(c)
	k.tokenType = tokenType
	return l.get(k)
}

func (l *labels) key(c *Call) labelKey {
	return labelKey{
		operation: c.Operation, model: l.label(c.Model), responseModel: l.label(c.ResponseModel),
		address: c.ServerAddress, port: c.ServerPort,
	}
}

// operation returns the options for counting calls by operation.
func (l *labels) operation(name string) []metric.AddOption {
	l.mu.RLock()
	opts, ok := l.adds[name]
	l.mu.RUnlock()
	if ok {
		return opts
	}
	opts = []metric.AddOption{metric.WithAttributeSet(attribute.NewSet(keyOperation.String(name)))}
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.adds) < maxLabelSets {
		l.adds[name] = opts
	}
	return opts
}

// get returns the record options for k, from the ready ones if it can: building a set costs three
// allocations and most calls share a few.
func (l *labels) get(k labelKey) []metric.RecordOption {
	l.mu.RLock()
	opts, ok := l.sets[k]
	l.mu.RUnlock()
	if ok {
		return opts
	}
	opts = []metric.RecordOption{metric.WithAttributeSet(k.set())}
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.sets) < maxLabelSets {
		l.sets[k] = opts
	}
	return opts
}

func (k labelKey) set() attribute.Set {
	kvs := make([]attribute.KeyValue, 0, 8)
	kvs = append(kvs, keyOperation.String(k.operation))
	if !k.short {
		kvs = append(kvs, keyProvider.String(providerVLLM))
	}
	if k.model != "" {
		kvs = append(kvs, keyRequestModel.String(k.model))
	}
	if k.responseModel != "" {
		kvs = append(kvs, keyResponseModel.String(k.responseModel))
	}
	if k.address != "" {
		kvs = append(kvs, semconv.ServerAddress(k.address), semconv.ServerPort(k.port))
	}
	if k.errorType != "" {
		kvs = append(kvs, semconv.ErrorTypeKey.String(k.errorType))
	}
	if k.tokenType != "" {
		kvs = append(kvs, keyTokenType.String(k.tokenType))
	}
	return attribute.NewSet(kvs...)
}
