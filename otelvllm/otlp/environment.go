package otlp

import (
	"fmt"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"
)

// env returns the value of a variable without space around it.
func env(name string) string { return strings.TrimSpace(os.Getenv(name)) }

// envOTLP returns the value of OTEL_EXPORTER_OTLP_<SIGNAL>_<name>, or else of OTEL_EXPORTER_OTLP_<name>,
// and the name of the variable that has it.
func envOTLP(signal, name string) (variable, value string) {
	for _, variable := range []string{"OTEL_EXPORTER_OTLP_" + strings.ToUpper(signal) + "_" + name, "OTEL_EXPORTER_OTLP_" + name} {
		if v := env(variable); v != "" {
			return variable, v
		}
	}
	return "", ""
}

// badValue is the error for a variable whose value is not allowed.
func badValue(variable, value, allowed string) error {
	return fmt.Errorf("%s=%q is not allowed: use %s", variable, value, allowed)
}

// choices are the variables with a closed set of values.
var choices = []struct {
	variable string
	values   []string
	list     bool // several values with commas between are allowed
}{
	{"OTEL_SDK_DISABLED", []string{"true", "false"}, false},
	{"OTEL_EXPORTER_OTLP_PROTOCOL", []string{protocolHTTP, protocolGRPC}, false},
	{"OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", []string{protocolHTTP, protocolGRPC}, false},
	{"OTEL_EXPORTER_OTLP_METRICS_PROTOCOL", []string{protocolHTTP, protocolGRPC}, false},
	{"OTEL_EXPORTER_OTLP_LOGS_PROTOCOL", []string{protocolHTTP, protocolGRPC}, false},
	{"OTEL_EXPORTER_OTLP_COMPRESSION", []string{"gzip", "none"}, false},
	{"OTEL_EXPORTER_OTLP_TRACES_COMPRESSION", []string{"gzip", "none"}, false},
	{"OTEL_EXPORTER_OTLP_METRICS_COMPRESSION", []string{"gzip", "none"}, false},
	{"OTEL_EXPORTER_OTLP_LOGS_COMPRESSION", []string{"gzip", "none"}, false},
	{"OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE", []string{"cumulative", "delta", "lowmemory"}, false},
	{histogramVariable, []string{"explicit_bucket_histogram", exponential}, false},
	{"OTEL_METRICS_EXEMPLAR_FILTER", []string{"trace_based", "always_on", "always_off"}, false},
	{"OTEL_METRICS_PRODUCERS", []string{"prometheus", "none"}, true},
	{"OTEL_TRACES_SAMPLER", []string{
		"always_on", "always_off", "traceidratio", "parentbased_always_on",
		"parentbased_always_off", "parentbased_traceidratio",
	}, false},
}

// numbers are the variables with a whole number above zero.
var numbers = []string{
	"OTEL_BSP_SCHEDULE_DELAY", "OTEL_BSP_EXPORT_TIMEOUT", "OTEL_BSP_MAX_EXPORT_BATCH_SIZE",
	"OTEL_BLRP_SCHEDULE_DELAY", "OTEL_BLRP_EXPORT_TIMEOUT", "OTEL_BLRP_MAX_EXPORT_BATCH_SIZE",
	"OTEL_METRIC_EXPORT_INTERVAL", "OTEL_METRIC_EXPORT_TIMEOUT",
	"OTEL_EXPORTER_OTLP_TIMEOUT", "OTEL_EXPORTER_OTLP_TRACES_TIMEOUT",
	"OTEL_EXPORTER_OTLP_METRICS_TIMEOUT", "OTEL_EXPORTER_OTLP_LOGS_TIMEOUT",
}

// checkEnvironment returns an error for the first variable whose value is not allowed. The SDK ignores such a
// value after a line in the log, and the service then exports to nowhere, or not at all.
func checkEnvironment() error {
	for _, c := range choices {
		if err := checkChoice(c.variable, c.values, c.list); err != nil {
			return err
		}
	}
	for _, variable := range numbers {
		if v := env(variable); v != "" {
			if n, err := strconv.Atoi(v); err != nil || n <= 0 {
				return badValue(variable, v, "a whole number above 0")
			}
		}
	}
	if v := env("OTEL_TRACES_SAMPLER_ARG"); v != "" && strings.HasSuffix(env("OTEL_TRACES_SAMPLER"), "traceidratio") {
		if f, err := strconv.ParseFloat(v, 64); err != nil || !(f >= 0 && f <= 1) {
			return badValue("OTEL_TRACES_SAMPLER_ARG", v, "a number from 0 to 1")
		}
	}
	if err := checkHeaders(); err != nil {
		return err
	}
	return checkEndpoints()
}

// checkHeaders finds headers that the exporters would leave out, some of them with all the others. It does not put the
// value into its error: it is most often a key.
func checkHeaders() error {
	for _, signal := range []string{"", "TRACES_", "METRICS_", "LOGS_"} {
		variable := "OTEL_EXPORTER_OTLP_" + signal + "HEADERS"
		v := env(variable)
		if v == "" {
			continue
		}
		for pair := range strings.SplitSeq(v, ",") {
			name, value, found := strings.Cut(pair, "=")
			_, err := url.PathUnescape(value)
			if !found || err != nil || !isHeaderName(strings.TrimSpace(name)) {
				return fmt.Errorf("%s is not allowed: use name=value pairs with commas between, percent-encoded", variable)
			}
		}
	}
	return nil
}

// isHeaderName tells whether s is a token of HTTP.
func isHeaderName(s string) bool {
	return s != "" && !strings.ContainsFunc(s, func(r rune) bool {
		return r <= ' ' || r > '~' || strings.ContainsRune(`"(),/:;<=>?@[\]{}`, r)
	})
}

func checkEndpoints() error {
	anyGRPC := false
	for _, signal := range []string{signalTraces, signalMetrics, signalLogs} {
		grpc := isGRPC(signal)
		anyGRPC = anyGRPC || grpc
		if err := checkEndpoint("OTEL_EXPORTER_OTLP_"+strings.ToUpper(signal)+"_ENDPOINT", grpc); err != nil {
			return err
		}
	}
	return checkEndpoint("OTEL_EXPORTER_OTLP_ENDPOINT", anyGRPC)
}

func checkChoice(variable string, allowed []string, list bool) error {
	value := env(variable)
	if value == "" {
		return nil
	}
	values := []string{value}
	if list {
		values = strings.Split(value, ",")
	}
	for _, v := range values {
		if !slices.ContainsFunc(allowed, func(a string) bool { return strings.EqualFold(a, strings.TrimSpace(v)) }) {
			return badValue(variable, value, oneOf(allowed))
		}
	}
	return nil
}

// checkEndpoint does not put the value into its error: it may carry a key. With gRPC other forms are allowed
// too, such as host:port and unix:///path.
func checkEndpoint(variable string, grpc bool) error {
	v := env(variable)
	if v == "" {
		return nil
	}
	u, err := url.Parse(v)
	if err != nil || !grpc && (u.Host == "" || u.Scheme != "http" && u.Scheme != "https") {
		return fmt.Errorf("%s is not allowed: use a URL such as http://localhost:4318 (with gRPC http://localhost:4317)", variable)
	}
	return nil
}

// oneOf joins words as "a, b or c".
func oneOf(words []string) string {
	last := len(words) - 1
	if last < 1 {
		return strings.Join(words, "")
	}
	return strings.Join(words[:last], ", ") + " or " + words[last]
}

// number returns the value of a variable that checkEnvironment has checked, or fallback.
func number(variable string, fallback int) int {
	if n, err := strconv.Atoi(env(variable)); err == nil && n > 0 {
		return n
	}
	return fallback
}

func milliseconds(variable string, fallback time.Duration) time.Duration {
	return time.Duration(number(variable, int(fallback/time.Millisecond))) * time.Millisecond
}
