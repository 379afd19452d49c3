package main

// modemCommand is the family of verbs for the bench: the modem itself, past what
// activation and link need of it.
var modemCommand = command{
	name:    "modem",
	summary: "the modem itself: its USB mode",
	example: "dynamod modem usb-mode\ndynamod modem usb-mode ecm",
	verbs:   []command{modemUSBModeCommand},
}
