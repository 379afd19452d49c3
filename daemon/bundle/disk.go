package bundle

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"dynamod/daemon/config"
	"dynamod/daemon/journal"
)

// Disk lists the parts that need no daemon: program and box, configuration, and
// the state on disk. file is the configuration's path, which need not be there;
// story tells the journal to people.
func Disk(cfg *config.Config, version, file string, story func(io.Writer, []journal.Record) error) []Part {
	read := func() ([]journal.Record, error) { return journal.Read(filepath.Join(cfg.State.Dir, "journal")) }
	return []Part{
		{"version.txt", func(_ context.Context, w io.Writer) error {
			fmt.Fprintf(w, "dynamod %s, %s, %s/%s\n", version, runtime.Version(), runtime.GOOS, runtime.GOARCH)
			var errs []error
			for _, name := range []string{"/proc/version", "/etc/os-release", "/proc/device-tree/model", "/sys/class/dmi/id/product_name"} {
				text, err := os.ReadFile(name)
				if err == nil {
					fmt.Fprintf(w, "\n%s:\n%s\n", name, strings.Trim(string(text), "\x00\n"))
				} else if !errors.Is(err, fs.ErrNotExist) {
					errs = append(errs, err)
				}
			}
			return errors.Join(errs...)
		}},
		copied("config.toml", file),
		{"journal.txt", func(_ context.Context, w io.Writer) error {
			records, err := read()
			if err != nil {
				return err
			}
			return story(w, records)
		}},
		{"journal.jsonl", func(_ context.Context, w io.Writer) error {
			records, err := read()
			e := json.NewEncoder(w)
			for _, r := range records {
				err = errors.Join(err, e.Encode(r))
			}
			return err
		}},
		copied("learned.json", filepath.Join(cfg.State.Dir, "learned.json")),
		JSON("outbox.json", func(context.Context) (any, error) { return outbox(filepath.Join(cfg.State.Dir, "outbox")) }),
		copied("crash.txt", filepath.Join(cfg.State.Run, "crash")),
	}
}

// copied is a part that is a file as it is. One that is not there is no error.
func copied(name, path string) Part {
	return Part{name, func(_ context.Context, w io.Writer) error {
		f, err := os.Open(path)
		if errors.Is(err, fs.ErrNotExist) || path == "" {
			return nil
		} else if err != nil {
			return err
		}
		defer f.Close()
		_, err = io.Copy(w, io.LimitReader(f, MaxPart))
		return err
	}}
}

// outbox lists what waits, without what the card has signed.
func outbox(dir string) (list []map[string]any, err error) {
	names, err := filepath.Glob(filepath.Join(dir, "*.json"))
	list = []map[string]any{}
	for _, name := range names {
		text, rerr := os.ReadFile(name)
		var e map[string]any
		if rerr = errors.Join(rerr, json.Unmarshal(text, &e)); rerr != nil {
			err = errors.Join(err, rerr)
			continue
		}
		delete(e, "pending")
		list = append(list, e)
	}
	return list, err
}

// Secrets gives a Redactor the secrets that the configuration names.
func (r *Redactor) Secrets(cfg *config.Config) {
	for _, file := range []string{cfg.Modem.PINFile, cfg.APN.PasswordFile, cfg.Webhook.SecretFile, cfg.Dynamo.TokenFile} {
		if file == "" {
			continue
		}
		if s, err := config.ReadSecret(file); err == nil {
			r.Keep(s)
		}
	}
	// Who knows the path of some receivers can write to them.
	if _, rest, ok := strings.Cut(cfg.Webhook.URL, "://"); ok && strings.ContainsAny(strings.TrimSuffix(rest, "/"), "/?") {
		r.Keep(rest)
	}
}
