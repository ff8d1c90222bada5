// Package livepage is the page that a person on call opens: what is wrong and what to do about it,
// which requests run and which of them hang, the last quarter of an hour as plots, and the requests
// that have ended, each as a waterfall of its spans.
//
// A [Page] is an http.Handler. It reads memory only, so it answers while the engine hangs.
// [Page.Run] fills the plots and sends the changes to open pages as server-sent events; without it
// the page shows the present alone.
//
// The page consists of this package's own HTML, style and script, all embedded, under a content
// security policy that allows nothing else. It works without script too, by reloading. It has no
// access control: serve it where only operators reach it.
package livepage
