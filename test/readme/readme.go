// Package readme reads what a README promises: its Go programs, its commands and its links, so that a test can hold
// it to them.
package readme

import (
	"fmt"
	"io/fs"
	"path"
	"regexp"
	"slices"
	"strings"
)

// Block is one fenced block of code.
type Block struct {
	Language string // the word after the fence, such as "go" or "sh"
	Line     int    // of the first line of the code, counted from 1
	Code     string
}

// Blocks returns the fenced blocks of a Markdown document.
func Blocks(markdown string) (blocks []Block) {
	var open *Block
	fence := ""
	number := 0
	for line := range strings.Lines(markdown) {
		number++
		text := strings.TrimSpace(line)
		switch {
		case open == nil && (strings.HasPrefix(text, "```") || strings.HasPrefix(text, "~~~")):
			fence = text[:len(text)-len(strings.TrimLeft(text, text[:1]))]
			open = &Block{Language: strings.TrimSpace(text[len(fence):]), Line: number + 1}
		case open != nil && strings.TrimRight(text, fence[:1]) == "" && len(text) >= len(fence):
			blocks = append(blocks, *open)
			open = nil
		case open != nil:
			open.Code += line
		}
	}
	return blocks
}

var packageMain = regexp.MustCompile(`(?m)^package main$`)

// Programs returns the Go blocks that are whole programs.
func Programs(blocks []Block) []Block {
	return slices.DeleteFunc(slices.Clone(blocks), func(b Block) bool {
		return b.Language != "go" || !packageMain.MatchString(b.Code)
	})
}

// Commands returns the shell commands of the blocks, with the line on which each stands. A block of a shell session
// ("console") has commands after "$ " and output in between. Comments are left out, and lines that end in a backslash
// are joined.
func Commands(blocks []Block) (commands []Block) {
	for _, b := range blocks {
		session := b.Language == "console"
		if !session && !slices.Contains([]string{"sh", "bash", "shell"}, b.Language) {
			continue
		}
		number, begun, command := b.Line-1, 0, ""
		for line := range strings.Lines(b.Code) {
			number++
			text := strings.TrimSpace(line)
			if command == "" {
				rest, prompt := strings.CutPrefix(text, "$ ")
				if session && !prompt || text == "" || text[0] == '#' {
					continue
				}
				text, begun = rest, number
			}
			joined, more := strings.CutSuffix(text, `\`)
			command += joined
			if !more {
				commands = append(commands, Block{Language: b.Language, Line: begun, Code: command})
				command = ""
			}
		}
	}
	return commands
}

// Checker knows the repository that a README belongs to.
type Checker struct {
	Root   fs.FS
	Module string // the module's path
}

// CheckCommand returns what a command names that does not exist: a make target, a folder or file of the repository, a
// package of the module.
func (c Checker) CheckCommand(command string) (problems []string) {
	if code, _, ok := strings.Cut(command, " #"); ok {
		command = code
	}
	for part := range strings.FieldsFuncSeq(command, func(r rune) bool { return strings.ContainsRune("|&;()", r) }) {
		words := strings.Fields(part)
		for len(words) > 0 && strings.Contains(words[0], "=") { // variables before the command
			words = words[1:]
		}
		if len(words) == 0 {
			continue
		}
		problems = append(problems, c.checkWords(words)...)
	}
	return problems
}

func (c Checker) checkWords(words []string) (problems []string) {
	missing := func(name string) { problems = append(problems, fmt.Sprintf("%s does not exist", name)) }
	if words[0] == "make" {
		for _, target := range words[1:] {
			if target[0] != '-' && !strings.Contains(target, "=") && !c.target(target) {
				missing("make target " + target)
			}
		}
	}
	if words[0] == "docker" && slices.Contains(words, "compose") && !slices.Contains(words, "-f") && !c.exists("docker-compose.yml") {
		missing("docker-compose.yml")
	}
	for _, word := range words {
		word = strings.Trim(word, `"'`)
		if i := strings.Index(word, "="); i >= 0 {
			word = word[i+1:]
		}
		word, _, _ = strings.Cut(word, "@")
		if rest, ok := strings.CutPrefix(word, c.Module); ok && (rest == "" || rest[0] == '/') {
			word = "." + rest
		}
		name := path.Clean(strings.TrimSuffix(word, "/..."))
		if (strings.HasPrefix(word, "./") || c.looksLikePath(word)) && !c.exists(name) {
			missing(name)
		}
	}
	return problems
}

// looksLikePath says whether the first folder of a word is one of the repository's.
func (c Checker) looksLikePath(word string) bool {
	first, rest, ok := strings.Cut(word, "/")
	return ok && rest != "" && fs.ValidPath(first) && c.exists(first)
}

func (c Checker) exists(name string) bool {
	if !fs.ValidPath(name) {
		return false
	}
	_, err := fs.Stat(c.Root, name)
	return err == nil
}

func (c Checker) target(name string) bool {
	makefile, err := fs.ReadFile(c.Root, "Makefile")
	return err == nil && regexp.MustCompile(`(?m)^`+regexp.QuoteMeta(name)+`:`).Match(makefile)
}

var link = regexp.MustCompile(`\]\(([^)\s]+)\)`)

// CheckLinks returns the relative links of a document at the root of the repository whose files do not exist.
func (c Checker) CheckLinks(markdown string) (problems []string) {
	for _, m := range link.FindAllStringSubmatch(markdown, -1) {
		target, _, _ := strings.Cut(m[1], "#")
		if target == "" || strings.Contains(target, ":") {
			continue
		}
		if !c.exists(path.Clean(target)) {
			problems = append(problems, fmt.Sprintf("link to %s: it does not exist", target))
		}
	}
	return problems
}
