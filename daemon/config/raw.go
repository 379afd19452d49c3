package config

// The file as it stands: a nil field is a key that is not there. The key names
// and types below are also the list of what is allowed, see schema.

type rawConfig struct {
	Board struct {
		Name *string `toml:"name"`
		Dir  *string `toml:"dir"`
	} `toml:"board"`
	Modem struct {
		Port        *string   `toml:"port"`
		Baud        *int64    `toml:"baud"`
		Dialect     *string   `toml:"dialect"`
		Dialects    *string   `toml:"dialects"`
		PINFile     *string   `toml:"pin_file"`
		SIMSlot     *int64    `toml:"sim_slot"`
		APDUTimeout *duration `toml:"apdu_timeout"`
	} `toml:"modem"`
	LPA struct {
		Via     *string           `toml:"via"`
		CISet   *string           `toml:"ci_set"`
		CI      []string          `toml:"ci"`
		MinFree *int64            `toml:"min_free"`
		AIDs    []string          `toml:"aids"`
		Overlap *bool             `toml:"overlap"`
		SMDS    []string          `toml:"smds"`
		Proxy   *string           `toml:"proxy"`
		Private *bool             `toml:"allow_private"`
		Resolve map[string]string `toml:"resolve"`
	} `toml:"lpa"`
	APN struct {
		APN          *string `toml:"apn"`
		ICCID        *string `toml:"iccid"`
		Username     *string `toml:"username"`
		PasswordFile *string `toml:"password_file"`
		IPType       *string `toml:"ip_type"`
		Auth         *string `toml:"auth"`
	} `toml:"apn"`
	Bearer struct {
		Roaming  *string   `toml:"roaming"`
		OnExit   *string   `toml:"on_exit"`
		Deadline *duration `toml:"deadline"`
		Assigned *bool     `toml:"network_assigned"`
		InAttach *bool     `toml:"data_apn_in_attach"`
		Recovery *string   `toml:"recovery"`
		PPP      *string   `toml:"ppp"`
	} `toml:"bearer"`
	Fallback struct {
		Order     []string  `toml:"order"`
		Bootstrap []string  `toml:"bootstrap"`
		After     *duration `toml:"after"`
		Hold      *duration `toml:"hold"`
		Return    *duration `toml:"return"`
	} `toml:"fallback"`
	Uplink struct {
		Interface    *string  `toml:"interface"`
		Apply        *string  `toml:"apply"`
		Metric       *int64   `toml:"metric"`
		Table        *int64   `toml:"table"`
		DefaultRoute *bool    `toml:"default_route"`
		DNSFile      *string  `toml:"dns_file"`
		DNS          []string `toml:"dns"`
		MTU          *int64   `toml:"mtu"`
		Masquerade   *bool    `toml:"masquerade"`
	} `toml:"uplink"`
	Reach struct {
		Targets  []string  `toml:"targets"`
		Timeout  *duration `toml:"timeout"`
		Interval *duration `toml:"interval"`
	} `toml:"reach"`
	Activation struct {
		Deadline   *duration `toml:"deadline"`
		Hold       *duration `toml:"hold"`
		KeepTrying *bool     `toml:"keep_trying"`
		Limits     struct {
			Accepted      *duration `toml:"accepted"`
			Authenticated *duration `toml:"authenticated"`
			Agreed        *duration `toml:"agreed"`
			Waiting       *duration `toml:"waiting"`
			Downloading   *duration `toml:"downloading"`
			Installed     *duration `toml:"installed"`
			Reporting     *duration `toml:"reporting"`
			Notifying     *duration `toml:"notifying"`
		} `toml:"limits"`
	} `toml:"activation"`
	State struct {
		Dir    *string `toml:"dir"`
		Run    *string `toml:"run"`
		Helper *string `toml:"helper"`
	} `toml:"state"`
	Operators struct {
		Dir *string `toml:"dir"`
	} `toml:"operators"`
	Hook struct {
		Socket      *string  `toml:"socket"`
		Group       *string  `toml:"group"`
		Listen      *string  `toml:"listen"`
		Certificate *string  `toml:"certificate"`
		Key         *string  `toml:"key"`
		ClientCA    *string  `toml:"client_ca"`
		Hosts       []string `toml:"hosts"`
	} `toml:"hook"`
	Webhook struct {
		URL          *string `toml:"url"`
		SecretFile   *string `toml:"secret_file"`
		CA           *string `toml:"ca"`
		AllowPrivate *bool   `toml:"allow_private"`
		AllowHTTP    *bool   `toml:"allow_http"`
	} `toml:"webhook"`
	Dynamo struct {
		Directory    *string `toml:"directory"`
		TokenFile    *string `toml:"token_file"`
		CA           *string `toml:"ca"`
		Country      *string `toml:"country"`
		Catalogue    *string `toml:"catalogue"`
		Key          *string `toml:"catalogue_key"`
		Staging      *bool   `toml:"staging"`
		WalledGarden *bool   `toml:"walled_garden"`
	} `toml:"dynamo"`
	Time struct {
		NTP []string `toml:"ntp"`
		Set *bool    `toml:"set"`
	} `toml:"time"`
	Log struct {
		Level  *string `toml:"level"`
		Format *string `toml:"format"`
	} `toml:"log"`
}

// duration is a string such as "90s"; the type tells it from other strings.
type duration string
