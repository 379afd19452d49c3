// Package dynamosim is a mobile operator as the Mobile Plans programme wanted it: its
// API (balances, offers, notifications, orders, micro-balances) and its web portal,
// written from the published pages and not from the router's side of them.
//
// What those pages leave open is decided here so that it is hard on a client: names
// are spelled as the examples spell them, which is not as the text does; the
// location minds case; a transaction ID may come once.
package dynamosim
