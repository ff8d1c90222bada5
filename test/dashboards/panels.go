package dashboards

import (
	"strings"

	"github.com/grafana/grafana-foundation-sdk/go/cog"
	"github.com/grafana/grafana-foundation-sdk/go/cog/variants"
	"github.com/grafana/grafana-foundation-sdk/go/common"
	"github.com/grafana/grafana-foundation-sdk/go/dashboard"
	"github.com/grafana/grafana-foundation-sdk/go/prometheus"
	"github.com/grafana/grafana-foundation-sdk/go/stat"
	"github.com/grafana/grafana-foundation-sdk/go/table"
	"github.com/grafana/grafana-foundation-sdk/go/text"
	"github.com/grafana/grafana-foundation-sdk/go/timeseries"
)

// The kinds of panels.
const (
	kindStat  = "stat"
	kindTable = "table"
	kindText  = "text"
	kindPlot  = "timeseries"
)

// panel is one panel, as far as ours differ from each other.
type panel struct {
	title string
	about string // what it shows and what to do about it; behind the i of the title
	kind  string // kindPlot unless set
	unit  string // one of Grafana's units
	w, h  uint32 // of 24 columns; 8 by 8 unless set

	queries  []query
	links    []link
	steps    []step // colours by value; none: the palette
	mappings map[string]string
	min, max *float64
	stack    bool
	none     string // what stands where there is no data

	markdown string   // of a text
	columns  []column // of a table: those that are shown, in their order
}

type query struct {
	expr, legend string
	exemplars    bool // shows the trace of one request in each bucket
}

type link struct{ title, url string }

// step is a colour from a value on.
type step struct {
	from  float64
	color string
}

// column is a column of a table: a label, or "Value" of the only query, or "Value #A" of the first of several.
type column struct {
	field, title, unit string
	links              []link
}

var dataSource = common.DataSourceRef{Type: cog.ToPtr("prometheus"), Uid: cog.ToPtr(uidPrometheus)}

func (p panel) build(id uint32) dashboard.Panel {
	kind := p.kind
	if kind == "" {
		kind = kindPlot
	}
	built := dashboard.Panel{
		Type: kind, Id: &id, Title: &p.title, Datasource: &dataSource,
		GridPos:     &dashboard.GridPos{W: or(p.w, 8), H: or(p.h, 8)},
		FieldConfig: &dashboard.FieldConfigSource{Defaults: p.fields(kind), Overrides: []dashboard.DashboardFieldConfigSourceOverrides{}},
	}
	if p.about != "" {
		built.Description = &p.about
	}
	for i, q := range p.queries {
		built.Targets = append(built.Targets, q.build(kind, string(rune('A'+i))))
	}
	switch kind {
	case kindStat:
		built.Options = stat.Options{
			GraphMode: common.BigValueGraphModeArea, ColorMode: common.BigValueColorModeBackground,
			JustifyMode: common.BigValueJustifyModeAuto, TextMode: common.BigValueTextModeAuto, WideLayout: true,
			ReduceOptions:          common.ReduceDataOptions{Calcs: []string{"lastNotNull"}, Values: cog.ToPtr(false)},
			PercentChangeColorMode: common.PercentChangeColorModeStandard, Orientation: common.VizOrientationAuto,
		}
	case kindTable:
		built.Options = table.Options{ShowHeader: true, CellHeight: cog.ToPtr(common.TableCellHeightSm)}
		built.Transformations = p.arrange()
		built.FieldConfig.Overrides = p.overrides()
	case kindText:
		built.Datasource = nil
		built.Options = text.Options{Mode: text.TextModeMarkdown, Content: p.markdown}
	default:
		built.Options = timeseries.Options{
			Legend: common.VizLegendOptions{
				DisplayMode: common.LegendDisplayModeTable, Placement: common.LegendPlacementBottom, ShowLegend: true,
				Calcs: []string{"lastNotNull", "max"},
			},
			Tooltip: common.VizTooltipOptions{Mode: common.TooltipDisplayModeMulti, Sort: common.SortOrderDescending},
		}
	}
	return built
}

func or(n, otherwise uint32) uint32 {
	if n == 0 {
		return otherwise
	}
	return n
}

func (q query) build(kind, id string) variants.Dataquery {
	built := prometheus.Dataquery{
		Expr: q.expr, RefId: &id, Datasource: &dataSource, EditorMode: cog.ToPtr(prometheus.QueryEditorModeCode),
		Range: cog.ToPtr(kind != kindTable), Instant: cog.ToPtr(kind == kindTable), Exemplar: &q.exemplars,
		Format: cog.ToPtr(prometheus.PromQueryFormatTimeSeries),
	}
	if kind == kindTable {
		built.Format = cog.ToPtr(prometheus.PromQueryFormatTable)
	} else {
		built.LegendFormat = cog.ToPtr(q.legend)
	}
	return built
}

func (p panel) fields(kind string) dashboard.FieldConfig {
	fields := dashboard.FieldConfig{Min: p.min, Max: p.max, Links: dataLinks(p.links)}
	if p.unit != "" {
		fields.Unit = &p.unit
	}
	if p.none != "" {
		fields.NoValue = &p.none
	}
	if len(p.steps) > 0 {
		fields.Color = &dashboard.FieldColor{Mode: dashboard.FieldColorModeIdThresholds}
		fields.Thresholds = &dashboard.ThresholdsConfig{
			Mode: dashboard.ThresholdsModeAbsolute, Steps: []dashboard.Threshold{{Color: p.steps[0].color}},
		}
		for _, s := range p.steps[1:] {
			fields.Thresholds.Steps = append(fields.Thresholds.Steps, dashboard.Threshold{Value: cog.ToPtr(s.from), Color: s.color})
		}
	}
	if len(p.mappings) > 0 {
		values := make(map[string]dashboard.ValueMappingResult)
		for from, to := range p.mappings {
			values[from] = dashboard.ValueMappingResult{Text: cog.ToPtr(to)}
		}
		fields.Mappings = []dashboard.ValueMapping{{ValueMap: &dashboard.ValueMap{Type: dashboard.MappingTypeValueToText, Options: values}}}
	}
	if kind == kindPlot {
		fields.Color = &dashboard.FieldColor{Mode: dashboard.FieldColorModeIdPaletteClassic}
		custom := common.GraphFieldConfig{
			DrawStyle: cog.ToPtr(common.GraphDrawStyleLine), LineWidth: cog.ToPtr(1.0), FillOpacity: cog.ToPtr(8.0),
			ShowPoints: cog.ToPtr(common.VisibilityModeNever), AxisSoftMin: cog.ToPtr(0.0),
		}
		if p.stack {
			custom.FillOpacity = cog.ToPtr(40.0)
			custom.Stacking = &common.StackingConfig{Mode: cog.ToPtr(common.StackingModeNormal), Group: cog.ToPtr("A")}
		}
		fields.Custom = custom
	}
	return fields
}

func dataLinks(links []link) []dashboard.DashboardLink {
	var built []dashboard.DashboardLink
	for _, l := range links {
		built = append(built, dashboard.DashboardLink{
			Title: l.title, Url: cog.ToPtr(l.url), Type: dashboard.DashboardLinkTypeLink, TargetBlank: true, Tags: []string{},
		})
	}
	return built
}

// arrange puts the answers of a table's queries side by side and shows the columns that were asked for.
func (p panel) arrange() []dashboard.DataTransformerConfig {
	order, titles, keep := map[string]int{}, map[string]string{}, []string{}
	for i, c := range p.columns {
		order[c.field] = i
		titles[c.field] = c.title
		keep = append(keep, c.field)
	}
	var built []dashboard.DataTransformerConfig
	if len(p.queries) > 1 {
		built = append(built, dashboard.DataTransformerConfig{Id: "merge", Options: map[string]any{}})
	}
	return append(
		built,
		dashboard.DataTransformerConfig{Id: "filterFieldsByName", Options: map[string]any{
			"include": map[string]any{"pattern": "^(" + strings.Join(keep, "|") + ")$"},
		}},
		dashboard.DataTransformerConfig{Id: "organize", Options: map[string]any{
			"indexByName": order, "renameByName": titles, "excludeByName": map[string]bool{},
		}},
	)
}

// overrides give the columns of a table their units and links.
func (p panel) overrides() []dashboard.DashboardFieldConfigSourceOverrides {
	built := []dashboard.DashboardFieldConfigSourceOverrides{}
	for _, c := range p.columns {
		o := dashboard.DashboardFieldConfigSourceOverrides{Matcher: dashboard.MatcherConfig{Id: "byName", Options: c.title}}
		if c.unit != "" {
			o.Properties = append(o.Properties, dashboard.DynamicConfigValue{Id: "unit", Value: c.unit})
		}
		if len(c.links) > 0 {
			o.Properties = append(o.Properties, dashboard.DynamicConfigValue{Id: "links", Value: dataLinks(c.links)})
		}
		if len(o.Properties) > 0 {
			built = append(built, o)
		}
	}
	return built
}
