// Package dashboards makes the Grafana dashboards in collector-config/grafana and checks them and the Prometheus
// files in collector-config/prometheus against what the library emits.
//
// A metric that is renamed, a label that is left out or a query that PromQL cannot read breaks no program. It shows as
// an empty panel and as an alert that never fires, months later. So every name in a query is compared with
// test/testdata/telemetry.golden, translated by Prometheus' own translator; every alert has a test that promtool runs;
// and every metric is sent once through a real OTLP receiver of Prometheus.
//
// The dashboards are generated: change them here and run
//
//	go test -run Dashboards -update .
package dashboards
