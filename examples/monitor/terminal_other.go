//go:build !unix

package main

// terminalSize tells of no terminal: there the output is lines of plain text.
func terminalSize() (width, height int, ok bool) { return 0, 0, false }
