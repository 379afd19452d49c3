// Package dynamo is the device's side of buying a mobile plan: which operators
// sell one here, the visit to an operator's portal, what the portal sends back,
// and the balance. It follows Microsoft's DYNAMO (Mobile Plans) programme with its
// published names; what was never published, the side between device and service,
// is defined in docs/dynamo.md.
//
// The package decides what may be done; it neither touches the card nor the modem.
package dynamo
