// Command library downloads a profile and enables it, in five lines of use. The
// card and the server are simulated here; with a modem, Transport is all that
// changes.
package main

import (
	"context"
	"fmt"
	"log"

	"dynamod/euicc"
	"dynamod/euicc/es9p"
	"dynamod/euicc/lpa"
)

func main() {
	log.SetFlags(0)
	lab, err := newLab()
	if err != nil {
		log.Fatal(err)
	}
	defer lab.Close()
	if err := download(context.Background(), lab.config(), lab.code); err != nil {
		log.Fatal(err)
	}
}

func download(ctx context.Context, cfg lpa.Config, text string) error {
	card, err := lpa.Open(ctx, cfg)
	if err != nil {
		return err
	}
	defer card.Close()
	code, err := euicc.ParseActivationCode(text)
	if err != nil {
		return err
	}
	order, err := card.Authenticate(ctx, code)
	if err != nil {
		return err
	}
	result, err := order.Download(ctx, "", nil)
	if err != nil {
		return err
	}
	if err := card.Enable(ctx, order.Metadata.ICCID, true); err != nil {
		return err
	}
	fmt.Println("installed and enabled", order.Metadata.ICCID, "named", order.Metadata.Name, "from", code)
	fmt.Println("report due to", result.Notification.Address)
	var client *es9p.Client
	if client, err = card.Client(ctx); err != nil {
		return err
	}
	fmt.Println("requests:", client.Stats().Requests)
	return nil
}
