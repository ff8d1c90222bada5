//go:build unix

package main

import (
	"os"

	"golang.org/x/sys/unix"
)

// terminalSize returns the size of the terminal that is the standard output, in characters; it is not
// ok if that is a file or a pipe, or a terminal that cannot move its cursor.
func terminalSize() (width, height int, ok bool) {
	size, err := unix.IoctlGetWinsize(int(os.Stdout.Fd()), unix.TIOCGWINSZ)
	if err != nil || os.Getenv("TERM") == "dumb" {
		return 0, 0, false
	}
	if size.Col == 0 || size.Row == 0 { // a terminal that does not tell
		return 80, 24, true
	}
	return int(size.Col), int(size.Row), true
}
