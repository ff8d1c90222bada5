package livepage

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"sync"
	"time"
)

// Bounds of the server-sent events.
const (
	// queued is how many messages wait for a subscriber. One more, and it is dropped: it is too
	// slow, and its browser connects again and gets the whole page.
	queued = 4
	// writeTimeout is how long a write to a subscriber may take.
	writeTimeout = 5 * time.Second
)

// slow are the parts that are sent every fourth second only, since they are large and their changes
// are small.
const slowEvery = 4

// hub passes messages on to the subscribers. The zero value is closed.
type hub struct {
	limit int

	mu          sync.Mutex // held while messages are handed out; nobody is waited for
	running     bool
	subscribers map[chan []byte]bool
	sent        map[string]string // the parts that subscribers show
	rounds      int
}

func (h *hub) open() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.running, h.subscribers, h.sent = true, make(map[chan []byte]bool), make(map[string]string)
}

// close ends the streams of all subscribers.
func (h *hub) close() {
	h.mu.Lock()
	defer h.mu.Unlock()
	for c := range h.subscribers {
		close(c)
	}
	h.running, h.subscribers = false, nil
}

func (h *hub) listeners() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.subscribers)
}

// join adds a subscriber; nil if there are too many, or nobody would send it anything.
func (h *hub) join() chan []byte {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !h.running || len(h.subscribers) >= h.limit {
		return nil
	}
	c := make(chan []byte, queued)
	h.subscribers[c] = true
	return c
}

// leave removes a subscriber, which may have been dropped already.
func (h *hub) leave(c chan []byte) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.subscribers[c] {
		delete(h.subscribers, c)
		close(c)
	}
}

// send hands a message to all subscribers and drops those that still hold too many.
func (h *hub) send(message []byte) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for c := range h.subscribers {
		select {
		case c <- message:
		default:
			delete(h.subscribers, c)
			close(c)
		}
	}
}

// changed returns the parts of a frame that differ from what was sent, and notes them as sent.
func (h *hub) changed(f *frame) map[string]string {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.rounds++
	list := make(map[string]string)
	for name, text := range f.parts {
		if name == "plots" && h.rounds%slowEvery != 0 {
			continue
		}
		if h.sent[name] != text {
			h.sent[name] = text
			list[name] = text
		}
	}
	return list
}

// send sends the subscribers what has changed.
func (p *Page) send(ctx context.Context) error {
	f, err := p.frame(ctx)
	if err != nil {
		return err
	}
	message, err := encode(f, p.hub.changed(f))
	if err != nil {
		return err
	}
	p.hub.send(message)
	return nil
}

// encode makes an event of the given parts of a frame.
func encode(f *frame, changed map[string]string) ([]byte, error) {
	var b bytes.Buffer
	b.WriteString("event: frame\ndata: ")
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false) // it is not in a page; escaped it would be a third longer
	err := e.Encode(struct {
		Title string            `json:"title"`
		Alert bool              `json:"alert"`
		Parts map[string]string `json:"parts"`
	}{f.title, f.alert, changed})
	b.WriteByte('\n') // after the one of Encode: an empty line ends the event
	return b.Bytes(), err
}

// serveEvents streams the changes of the page, the whole page first.
func (p *Page) serveEvents(w http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodHead {
		w.Header().Set("Content-Type", "text/event-stream")
		return
	}
	messages := p.hub.join()
	if messages == nil {
		w.Header().Set("Retry-After", "10")
		http.Error(w, "too many pages are open, or the page's Run does not run; reload instead", http.StatusServiceUnavailable)
		return
	}
	defer p.hub.leave(messages)
	f, err := p.frame(r.Context())
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	first, err := encode(f, f.parts)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("X-Accel-Buffering", "no") // nginx would hold events back
	stream(r.Context(), w, append([]byte("retry: 2000\n\n"), first...), messages)
}

// stream writes messages until there are no more, the reader leaves, or is too slow.
func stream(ctx context.Context, w http.ResponseWriter, message []byte, messages <-chan []byte) {
	control := http.NewResponseController(w)
	for {
		_ = control.SetWriteDeadline(time.Now().Add(writeTimeout)) // a writer without deadlines is still dropped by the hub
		if _, err := w.Write(message); err != nil {
			return
		}
		if err := control.Flush(); err != nil {
			return
		}
		var ok bool
		select {
		case <-ctx.Done():
			return
		case message, ok = <-messages:
			if !ok {
				return
			}
		}
	}
}
