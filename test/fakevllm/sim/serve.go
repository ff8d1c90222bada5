package sim

import (
	"context"
	"errors"
	"net"
	"net/http"
	"time"
)

// Serve answers on the listeners that listen makes until ctx ends, and then returns nil after requests in flight have had
// up to grace to end. While the engine loads, unless Config.LoadStatus is set, and after it has died there is no
// listener, so the port refuses connections as vLLM's does. handler is what to serve, usually the engine itself.
func (e *Engine) Serve(ctx context.Context, listen func() (net.Listener, error), handler http.Handler, grace time.Duration) error {
	for {
		open, changed := e.listening()
		if !open {
			select {
			case <-ctx.Done():
				return nil
			case <-changed:
				continue
			}
		}
		l, err := listen()
		if err != nil {
			return err
		}
		if done, err := e.serveOn(ctx, l, handler, grace); done || err != nil {
			return err
		}
	}
}

// listening says whether the port is open, and returns a channel that is closed when that may have changed.
func (e *Engine) listening() (bool, <-chan struct{}) {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.stage != stageGone && (e.stage != stageLoading || e.cfg.LoadStatus != 0), e.changed
}

// serveOn serves until the port has to close, or, with done, until ctx ends.
func (e *Engine) serveOn(ctx context.Context, l net.Listener, handler http.Handler, grace time.Duration) (done bool, err error) {
	srv := &http.Server{Handler: handler, IdleTimeout: 5 * time.Second} // vLLM's VLLM_HTTP_TIMEOUT_KEEP_ALIVE
	failed := make(chan error, 1)
	go func() { failed <- srv.Serve(l) }()
	for {
		open, changed := e.listening()
		if !open {
			srv.Close()
			<-failed
			return false, nil
		}
		select {
		case err := <-failed:
			return true, err
		case <-changed:
		case <-ctx.Done():
			end, cancel := context.WithTimeout(context.WithoutCancel(ctx), grace)
			defer cancel()
			if err := srv.Shutdown(end); errors.Is(err, context.DeadlineExceeded) {
				srv.Close()
			}
			<-failed
			return true, nil
		}
	}
}
