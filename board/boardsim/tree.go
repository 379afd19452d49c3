package boardsim

import (
	"os"
	"path/filepath"
)

// Tree is a directory with the sys and the dev of a board.
type Tree string

// Sys and Dev are its parts.
func (t Tree) Sys() string { return filepath.Join(string(t), "sys") }
func (t Tree) Dev() string { return filepath.Join(string(t), "dev") }

// Write makes a file, with the directories on its way.
func (t Tree) Write(path, text string) error {
	path = filepath.Join(string(t), path)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	return os.WriteFile(path, []byte(text), 0o644)
}

// Read is the text of a file, "" if there is none.
func (t Tree) Read(path string) string {
	b, err := os.ReadFile(filepath.Join(string(t), path))
	if err != nil {
		return ""
	}
	return string(b)
}

// Nodes makes the nodes of chips.
func (t Tree) Nodes(chips ...*Chip) error {
	for _, c := range chips {
		if err := t.Write("dev/"+c.Name, ""); err != nil {
			return err
		}
	}
	return nil
}
