package dashboards

import (
	"bytes"
	"encoding/json"

	"github.com/grafana/grafana-foundation-sdk/go/cog"
	"github.com/grafana/grafana-foundation-sdk/go/cog/variants"
	"github.com/grafana/grafana-foundation-sdk/go/dashboard"
	"github.com/grafana/grafana-foundation-sdk/go/prometheus"
)

// board is one dashboard.
type board struct {
	uid, file, title, about string
	variables               []variable
	rows                    []row
}

// row is a heading and its panels, from left to right.
type row struct {
	title     string
	collapsed bool
	panels    []panel
}

// variable is a choice at the top of a dashboard: values of a label, or a text where query is empty.
type variable struct {
	name, label, query, text string
}

// Boards are all dashboards, by the name of their file.
func Boards() map[string]dashboard.Dashboard {
	built := make(map[string]dashboard.Dashboard)
	for _, b := range []board{requestsBoard(), enginesBoard(), gpusBoard()} {
		built[b.file] = b.build()
	}
	return built
}

// Encode writes a dashboard as its file has it.
func Encode(d dashboard.Dashboard) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false) // so that a comparison in a query can be read
	e.SetIndent("", "  ")
	err := e.Encode(d)
	return b.Bytes(), err
}

func (b board) build() dashboard.Dashboard {
	d := dashboard.Dashboard{
		Uid: &b.uid, Title: &b.title, Description: &b.about, Tags: []string{"otelvllm"}, Editable: cog.ToPtr(false),
		SchemaVersion: 42, Timezone: cog.ToPtr("browser"), GraphTooltip: cog.ToPtr(dashboard.DashboardCursorSyncCrosshair),
		Time: &dashboard.DashboardDashboardTime{From: "now-1h", To: "now"}, Refresh: cog.ToPtr("30s"),
		Annotations: dashboard.AnnotationContainer{List: []dashboard.AnnotationQuery{alertMarks()}},
		Links: []dashboard.DashboardLink{
			{
				Title: "otelvllm", Type: dashboard.DashboardLinkTypeDashboards, Icon: "external link", Tags: []string{"otelvllm"},
				KeepTime: true, IncludeVars: true,
			},
			{
				Title: "What to do", Type: dashboard.DashboardLinkTypeLink, Icon: "doc", Url: cog.ToPtr(guideURL), Tags: []string{},
				TargetBlank: true, Tooltip: "From a symptom to what to change",
			},
			{
				Title: "Live page", Type: dashboard.DashboardLinkTypeLink, Icon: "bolt", Url: cog.ToPtr("${live:raw}/"), Tags: []string{},
				TargetBlank: true, Tooltip: "The gateway's own page: requests that run now, and findings",
			},
		},
	}
	for _, v := range b.variables {
		d.Templating.List = append(d.Templating.List, v.build())
	}
	id, y := uint32(0), uint32(0)
	next := func() uint32 { id++; return id }
	for _, r := range b.rows {
		if r.title != "" {
			d.Panels = append(d.Panels, dashboard.PanelOrRowPanel{RowPanel: &dashboard.RowPanel{
				Type: "row", Title: cog.ToPtr(r.title), Collapsed: r.collapsed, Id: next(),
				GridPos: &dashboard.GridPos{W: 24, H: 1, Y: y}, Panels: []dashboard.Panel{},
			}})
			y++
		}
		heading := len(d.Panels) - 1
		x, tallest := uint32(0), uint32(0)
		for _, p := range r.panels {
			built := p.build(next())
			if x+built.GridPos.W > 24 {
				x, y, tallest = 0, y+tallest, 0
			}
			built.GridPos.X, built.GridPos.Y = x, y
			x, tallest = x+built.GridPos.W, max(tallest, built.GridPos.H)
			if r.collapsed {
				d.Panels[heading].RowPanel.Panels = append(d.Panels[heading].RowPanel.Panels, built)
			} else {
				d.Panels = append(d.Panels, dashboard.PanelOrRowPanel{Panel: &built})
			}
		}
		if r.collapsed {
			tallest = 0 // what is folded takes no room
			y = d.Panels[heading].RowPanel.GridPos.Y + 1
		}
		y += tallest
	}
	return d
}

// alertMarks shows on every plot when an alert fired.
func alertMarks() dashboard.AnnotationQuery {
	return dashboard.AnnotationQuery{
		Name: "Alerts", Enable: true, IconColor: "red", Datasource: &dataSource,
		Target: variants.Dataquery(prometheus.Dataquery{
			Expr:  `count by (alertname, severity) (ALERTS{alertstate="firing", severity=~"critical|warning"})`,
			RefId: cog.ToPtr("Alerts"), LegendFormat: cog.ToPtr("{{alertname}}"), Interval: cog.ToPtr("1m"), Datasource: &dataSource,
		}),
	}
}

func (v variable) build() dashboard.VariableModel {
	if v.query == "" {
		text := dashboard.StringOrArrayOfString{String: &v.text}
		return dashboard.VariableModel{
			Type: dashboard.VariableTypeTextbox, Name: v.name, Label: &v.label, Query: &dashboard.StringOrMap{String: &v.text},
			Current: &dashboard.VariableOption{Text: text, Value: text},
		}
	}
	return dashboard.VariableModel{
		Type: dashboard.VariableTypeQuery, Name: v.name, Label: &v.label, Datasource: &dataSource,
		Query:      &dashboard.StringOrMap{Map: map[string]any{"query": v.query, "refId": "variable"}},
		Definition: &v.query, Refresh: cog.ToPtr(dashboard.VariableRefreshOnTimeRangeChanged),
		Sort: cog.ToPtr(dashboard.VariableSortAlphabeticalAsc), Multi: cog.ToPtr(true), IncludeAll: cog.ToPtr(true),
		AllValue: cog.ToPtr(".*"),
		Current: &dashboard.VariableOption{
			Text:  dashboard.StringOrArrayOfString{ArrayOfString: []string{"All"}},
			Value: dashboard.StringOrArrayOfString{ArrayOfString: []string{"$__all"}},
		},
	}
}

// Variables that several dashboards have.
var (
	varJob      = variable{name: "job", label: "Service", query: `label_values(vllm_engine_up_ratio, job)`}
	varInstance = variable{name: "instance", label: "Instance", query: `label_values(vllm_engine_up_ratio{job=~"$job"}, instance)`}
	varLive     = variable{name: "live", label: "Admin address", text: "http://127.0.0.1:9091"}
)
