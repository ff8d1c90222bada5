package dashboards

import (
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
	w, h  uint32 // of 24 columns; 8 by 9 unless set

	queries  []query
	links    []link
	steps    []step // colours by value; none: the palette
	whole    bool   // shows no fractions
	min, max *float64
	stack    bool
	words    []word // of a stat: what certain values say
	now      bool   // of a stat: asks for this moment, where a range ends at its last whole step
	none     string // what stands where there is no data

	markdown string   // of a text
	columns  []column // of a table: those that are shown, in their order
	sortBy   string   // of a table: the title of a column
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
	words              []word // what values say, and in which colour
}

// word is what a value says.
type word struct{ value, text, color string }

// The words of columns that say yes or no, good or bad.
var (
	yesOrNo    = []word{{"0", "No", "red"}, {"1", "Yes", "green"}}
	severities = []word{{"critical", "critical", "red"}, {"warning", "warning", "orange"}, {"info", "info", "blue"}}
)

// leastColumn is the width in pixels that a column has at least. Grafana's own is 150, which hides the last columns.
const leastColumn = 70.0

// noColor is the colour of a stat without a value: neither good nor bad.
const noColor = "#5a5f69"

var dataSource = common.DataSourceRef{Type: cog.ToPtr("prometheus"), Uid: cog.ToPtr(uidPrometheus)}

func (p panel) build(id uint32) dashboard.Panel {
	kind := p.kind
	if kind == "" {
		kind = kindPlot
	}
	built := dashboard.Panel{
		Type: kind, Id: &id, Title: &p.title, Datasource: &dataSource,
		GridPos:     &dashboard.GridPos{W: or(p.w, 8), H: or(p.h, 9)}, // 9: a legend of three lines is whole
		FieldConfig: &dashboard.FieldConfigSource{Defaults: p.fields(kind), Overrides: []dashboard.DashboardFieldConfigSourceOverrides{}},
	}
	if p.about != "" {
		built.Description = &p.about
	}
	for i, q := range p.queries {
		built.Targets = append(built.Targets, q.build(kind, string(rune('A'+i)), p.now || kind == kindTable))
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
		options := table.Options{ShowHeader: true, CellHeight: cog.ToPtr(common.TableCellHeightSm)}
		if p.sortBy != "" {
			options.SortBy = []common.TableSortByFieldState{{DisplayName: p.sortBy, Desc: cog.ToPtr(false)}}
		}
		built.Options = options
		built.Transformations = p.arrange()
		built.FieldConfig.Overrides = p.overrides()
	case kindText:
		built.Datasource = nil
		built.Options = text.Options{Mode: text.TextModeMarkdown, Content: p.markdown}
	default:
		built.Transformations = p.shorten()
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

func (q query) build(kind, id string, now bool) variants.Dataquery {
	built := prometheus.Dataquery{
		Expr: q.expr, RefId: &id, Datasource: &dataSource, EditorMode: cog.ToPtr(prometheus.QueryEditorModeCode),
		Range: cog.ToPtr(!now), Instant: cog.ToPtr(now), Exemplar: &q.exemplars,
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
	if p.whole {
		fields.Decimals = cog.ToPtr(0.0)
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
	switch kind {
	case kindStat:
		fields.Mappings = append([]dashboard.ValueMapping{nothing(p.none)}, said(p.words)...)
	case kindTable:
		fields.Custom = common.TableFieldOptions{Align: common.FieldTextAlignmentAuto, MinWidth: cog.ToPtr(leastColumn)}
	case kindPlot:
		fields.Color = &dashboard.FieldColor{Mode: dashboard.FieldColorModeIdPaletteClassic}
		fields.Custom = p.lines()
	}
	return fields
}

// nothing is what a stat says without a value. Without it, it would have the colour of the first step.
func nothing(says string) dashboard.ValueMapping {
	return dashboard.ValueMapping{SpecialValueMap: &dashboard.SpecialValueMap{
		Type: dashboard.MappingTypeSpecialValue,
		Options: dashboard.DashboardSpecialValueMapOptions{
			Match: dashboard.SpecialValueMatchNullAndNan, Result: dashboard.ValueMappingResult{Text: &says, Color: cog.ToPtr(noColor)},
		},
	}}
}

// lines are thin and without an area, which would hide the lines of other GPUs, unless they are stacked.
func (p panel) lines() common.GraphFieldConfig {
	custom := common.GraphFieldConfig{
		DrawStyle: cog.ToPtr(common.GraphDrawStyleLine), LineWidth: cog.ToPtr(1.0), FillOpacity: cog.ToPtr(0.0),
		ShowPoints: cog.ToPtr(common.VisibilityModeNever), AxisSoftMin: cog.ToPtr(0.0),
	}
	if p.stack {
		custom.FillOpacity = cog.ToPtr(40.0)
		custom.Stacking = &common.StackingConfig{Mode: cog.ToPtr(common.StackingModeNormal), Group: cog.ToPtr("A")}
	}
	return custom
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
