package sse

// keepBuffer is the size in bytes up to which a buffer outlives its event. It is above the size of
// the events in which engines stream tokens, and small enough for ten thousand open streams.
const keepBuffer = 4 << 10

// text is the value of a field. While the Write lasts that brought all of it, it is a part of the
// bytes written; it is copied only when it has to outlive that Write or to grow.
type text struct {
	view []byte // the value, where it is a part of the bytes written; nil: kept is the value
	kept []byte
}

// set makes v the value, or its first limit bytes, and reports whether it was cut.
func (t *text) set(v []byte, limit int) (cut bool) {
	if len(v) > limit {
		v, cut = v[:limit], true
	}
	t.kept = t.kept[:0]
	t.view = v
	return cut
}

// append adds v to the value as far as limit bytes allow, and reports whether anything was cut.
func (t *text) append(v []byte, limit int) (cut bool) {
	t.keep(limit)
	if room := limit - len(t.kept); len(v) > room {
		v, cut = v[:max(room, 0)], true
	}
	t.grow(len(v), limit)
	t.kept = append(t.kept, v...)
	return cut
}

// keep makes the value independent of the bytes written.
func (t *text) keep(limit int) {
	if t.view == nil {
		return
	}
	v := t.view
	t.view = nil
	t.grow(len(v), limit)
	t.kept = append(t.kept, v...)
}

// grow makes room for n more bytes. It doubles the buffer as append does, but never beyond limit.
func (t *text) grow(n, limit int) {
	need := len(t.kept) + n
	if need <= cap(t.kept) {
		return
	}
	size := max(need, min(max(256, 2*cap(t.kept)), limit))
	t.kept = append(make([]byte, 0, size), t.kept...)
}

func (t *text) bytes() []byte {
	if t.view != nil {
		return t.view
	}
	return t.kept
}

// clear makes the value empty. The bytes it had stay valid until something is added.
func (t *text) clear() {
	t.view = nil
	if cap(t.kept) > keepBuffer {
		t.kept = nil
	}
	t.kept = t.kept[:0]
}
