package livepage

import (
	"fmt"
	"math"
	"strconv"
	"time"
)

// unknown is shown where a value is not known.
const unknown = "–"

// space is a space at which a line does not break, between a number and its unit.
const space = "\u00a0"

// seconds writes a time with three digits at most, and its unit: 0.4 ms, 84 ms, 1.24 s, 12.4 s,
// 3 min 10 s, 2 h 05 min, 3 d 4 h.
func seconds(s float64) string {
	switch {
	case math.IsNaN(s):
		return unknown
	case s < 0:
		return "-" + seconds(-s)
	case s == 0:
		return "0" + space + "s"
	case s < 0.00995:
		return strconv.FormatFloat(s*1000, 'f', 1, 64) + space + "ms"
	case s < 0.9995:
		return strconv.FormatFloat(s*1000, 'f', 0, 64) + space + "ms"
	case s < 9.995:
		return strconv.FormatFloat(s, 'f', 2, 64) + space + "s"
	case s < 59.95:
		return strconv.FormatFloat(s, 'f', 1, 64) + space + "s"
	}
	return long(time.Duration(s * float64(time.Second)).Round(time.Second))
}

func long(d time.Duration) string {
	switch {
	case d < time.Hour:
		return fmt.Sprintf("%d%smin%s%02d%ss", int(d.Minutes()), space, space, int(d.Seconds())%60, space)
	case d < 24*time.Hour:
		return fmt.Sprintf("%d%sh%s%02d%smin", int(d.Hours()), space, space, int(d.Minutes())%60, space)
	}
	return fmt.Sprintf("%d%sd%s%d%sh", int(d.Hours())/24, space, space, int(d.Hours())%24, space)
}

// clock writes the time that something has lasted so that it does not flicker: tenths of a second
// below ten seconds, then whole seconds.
func clock(d time.Duration) string {
	switch {
	case d < 0:
		return "0.0" + space + "s"
	case d < 10*time.Second:
		return strconv.FormatFloat(d.Truncate(100*time.Millisecond).Seconds(), 'f', 1, 64) + space + "s"
	case d < time.Minute:
		return strconv.Itoa(int(d.Seconds())) + space + "s"
	}
	return long(d)
}

// ago writes how long something is past, coarsely: now, 12 s ago, 3 min ago, 2 h ago.
func ago(d time.Duration) string {
	switch {
	case d < 2*time.Second:
		return "just now"
	case d < time.Minute:
		return strconv.Itoa(int(d.Seconds())) + space + "s ago"
	case d < time.Hour:
		return strconv.Itoa(int(d.Minutes())) + space + "min ago"
	case d < 48*time.Hour:
		return strconv.Itoa(int(d.Hours())) + space + "h ago"
	}
	return strconv.Itoa(int(d.Hours())/24) + space + "d ago"
}

// number writes a quantity with three digits or as a whole number with commas: 0.25, 4.2, 412,
// 12,345.
func number(v float64) string {
	switch abs := math.Abs(v); {
	case math.IsNaN(v):
		return unknown
	case v == math.Trunc(v) && abs < 1e15:
		return commas(int64(v))
	case abs < 0.995:
		return strconv.FormatFloat(v, 'f', 2, 64)
	case abs < 9.95:
		return strconv.FormatFloat(v, 'f', 1, 64)
	case abs < 1e15:
		return commas(int64(math.Round(v)))
	}
	return strconv.FormatFloat(v, 'g', 3, 64)
}

func commas(n int64) string {
	digits := strconv.FormatInt(n, 10)
	sign := ""
	if n < 0 {
		sign, digits = "-", digits[1:]
	}
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return sign + digits
}

func percent(v float64) string {
	if math.IsNaN(v) {
		return unknown
	}
	return strconv.FormatFloat(v, 'f', 0, 64) + space + "%"
}

// mebibytes writes memory that is given in MiB.
func mebibytes(v float64) string {
	switch {
	case math.IsNaN(v):
		return unknown
	case v < 1000:
		return number(math.Round(v)) + space + "MiB"
	}
	return strconv.FormatFloat(v/1024, 'f', 1, 64) + space + "GiB"
}
