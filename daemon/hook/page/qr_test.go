//go:build linux && !nodemo

package page_test

import (
	"bytes"
	"fmt"
	"image"
	"image/draw"
	"image/jpeg"
	"image/png"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/skip2/go-qrcode"

	"dynamod/daemon/demo"
)

// printed has the length of codes in the field, which makes its QR code a dense one.
const printed = "LPA:1$smdp.example.com$QRTEST-0123456789ABCDEF-0123456789ABCDEF"

func qrFile(t *testing.T, text string) string {
	t.Helper()
	return write(t, "code.png", func(b *bytes.Buffer) error { return png.Encode(b, qrImage(t, text)) })
}

func qrImage(t *testing.T, text string) image.Image {
	t.Helper()
	q, err := qrcode.New(text, qrcode.Medium)
	if err != nil {
		t.Fatal(err)
	}
	return q.Image(400)
}

func write(t *testing.T, name string, encode func(*bytes.Buffer) error) string {
	t.Helper()
	var b bytes.Buffer
	if err := encode(&b); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, b.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

// shot is how a code was photographed.
type shot struct {
	width, height int     // of the picture
	size          float64 // of the code in it, in pixels
	turn          float64 // in degrees
	tilt          float64 // of the far edge: 0.2 is a fifth shorter
	noise         int     // of each pixel, 0 to 255
	dark, light   uint8   // of its ink and of its paper
}

// of takes a picture of src: each pixel is looked up where it came from.
func (s shot) of(src image.Image) *image.Gray {
	side := float64(src.Bounds().Dx())
	ink := image.NewGray(src.Bounds())
	draw.Draw(ink, ink.Bounds(), src, image.Point{}, draw.Src)
	specks := make([]int, 1<<12-1) // enough not to be a pattern
	out := image.NewGray(image.Rect(0, 0, s.width, s.height))
	random := rand.New(rand.NewPCG(1, 2))
	for i := range specks {
		specks[i] = random.IntN(2*s.noise+1) - s.noise
	}
	sin, cos := math.Sincos(s.turn * math.Pi / 180)
	for y := range s.height {
		for x := range s.width {
			u, v := (float64(x)-float64(s.width)/2)/s.size, (float64(y)-float64(s.height)/2)/s.size
			u, v = u*cos+v*sin, v*cos-u*sin
			far := 1 + s.tilt*v // less is further away
			u, v = u/far, v/far
			level := (s.dark + s.light) / 2 // the table
			if math.Abs(u) < 0.5 && math.Abs(v) < 0.5 {
				if ink.GrayAt(int((u+0.5)*side), int((v+0.5)*side)).Y > 127 {
					level = s.light
				} else {
					level = s.dark
				}
			}
			level = uint8(min(max(int(level)+specks[(y*s.width+x)%len(specks)], 0), 255))
			out.Pix[y*out.Stride+x] = level
		}
	}
	return out
}

// The browser reads codes from pictures as they come from a screen, a scanner or a
// telephone; the pictures are made by an encoder that knows nothing of the page's reader.
func TestReadPicture(t *testing.T) {
	c := chromium(t)
	b := newBox(t, demo.Options{}, "")
	c.open(b.origin)
	c.seen("code")
	photo := func(s shot, text string) string {
		return write(t, "photo.jpg", func(b *bytes.Buffer) error {
			return jpeg.Encode(b, s.of(qrImage(t, text)), &jpeg.Options{Quality: 70})
		})
	}
	const read, other, none, not = "The QR code was read.", "This QR code holds no activation code.", "No QR code was found. Try a sharper or closer picture.", "This file cannot be read as a picture."
	for _, tt := range []struct {
		name, file, want, code string
	}{
		{"from a screen", qrFile(t, printed), read, printed},
		{"without its prefix", qrFile(t, strings.TrimPrefix(printed, "LPA:")), read, strings.TrimPrefix(printed, "LPA:")},
		{"lower case, percent-encoded", qrFile(t, "lpa:1%24smdp.example.com%24X"), read, "lpa:1%24smdp.example.com%24X"},
		{"upside down", photo(shot{800, 800, 500, 180, 0, 0, 10, 245}, printed), read, printed},
		{"turned by 17 degrees", photo(shot{1000, 800, 500, 17, 0, 8, 20, 230}, printed), read, printed},
		{"seen from aside", photo(shot{1200, 900, 600, 5, 0.25, 8, 20, 230}, printed), read, printed},
		{"dim, with noise", photo(shot{1200, 900, 500, 3, 0.1, 25, 60, 160}, printed), read, printed},
		{"by a telephone, 12 megapixels", photo(shot{4000, 3000, 700, -8, 0.1, 20, 30, 200}, printed), read, printed},
		{"another code", qrFile(t, "https://example.com/1$"), other, ""},
		{"no code", photo(shot{800, 600, 1, 0, 0, 40, 30, 200}, printed), none, ""},
		{"no picture", write(t, "x.png", func(b *bytes.Buffer) error { _, err := fmt.Fprint(b, "text"); return err }), not, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c.t = t
			c.eval(`document.getElementById("code").value = ""; document.getElementById("code-state").textContent = ""`)
			c.upload("picture", tt.file)
			c.wait(`!["", "Looking for a QR code …"].includes(document.getElementById("code-state").textContent)`)
			if got := c.eval(`document.getElementById("code-state").textContent`); got != tt.want {
				t.Errorf("it says %q, want %q", got, tt.want)
			}
			if got := c.eval(`document.getElementById("code").value`); got != tt.code {
				t.Errorf("the code is %q, want %q", got, tt.code)
			}
			if got := c.text(); strings.Contains(got, "example.com") {
				t.Errorf("the page shows it: %s", got)
			}
		})
	}
	c.t = t
	if n := c.asked("/page/qr/decode.js"); n > 1 {
		t.Errorf("the reader was loaded %d times", n)
	} else if n == 0 {
		t.Log("read by the browser's own BarcodeDetector")
	}
	c.clean(b.origin)
}

// The camera is the browser's own stand-in, which plays a film.
func TestReadCamera(t *testing.T) {
	film := write(t, "film.y4m", func(b *bytes.Buffer) error {
		frame := shot{640, 480, 300, 4, 0.05, 10, 40, 200}.of(qrImage(t, printed))
		fmt.Fprintf(b, "YUV4MPEG2 W%d H%d F10:1 Ip A1:1 C420jpeg\n", 640, 480)
		for range 3 {
			fmt.Fprint(b, "FRAME\n")
			b.Write(frame.Pix)
			b.Write(bytes.Repeat([]byte{128}, 640*480/2)) // no colour
		}
		return nil
	})
	c := chromium(t, "--use-file-for-fake-video-capture="+film)
	b := newBox(t, demo.Options{}, "")
	c.open(b.origin)
	c.click("camera")
	c.wait(`document.getElementById("code").value !== ""`)
	if got := c.eval(`document.getElementById("code").value`); got != printed {
		t.Errorf("the code is %q, want %q", got, printed)
	}
	c.wait(`document.getElementById("viewer").hidden`)
	if got := c.eval(`document.getElementById("video").srcObject.getTracks().every((track) => track.readyState === "ended")`); got != true {
		t.Error("the camera stays on")
	}
	c.clean(b.origin)
}
