# /etc/config/dynamod on standard input, behind the file of keys: dynamod.toml on
# standard output. -v netifd=1 leaves the interface to netifd. What the keys do not
# have goes through as a string, for `dynamod check` to name it.

function fail(text) {
	print "line " line ": " text >"/dev/stderr"
	failed = 1
	exit 1
}

# word takes the next word off rest, as UCI quotes it; have is 0 at the line's end.
function word(    out, c, end) {
	sub(/^[ \t\r]+/, "", rest)
	have = rest != "" && substr(rest, 1, 1) != "#"
	while (have && rest != "" && (c = substr(rest, 1, 1)) !~ /[ \t\r]/) {
		rest = substr(rest, 2)
		if (c == "'") {
			if (!(end = index(rest, "'")))
				fail("a quote is not closed")
			out = out substr(rest, 1, end - 1)
			rest = substr(rest, end + 1)
		} else if (c == "\"") {
			while ((c = substr(rest, 1, 1)) != "\"") {
				if (c == "")
					fail("a quote is not closed")
				if (c == "\\")
					c = substr(rest = substr(rest, 2), 1, 1)
				out = out c
				rest = substr(rest, 2)
			}
			rest = substr(rest, 2)
		} else if (c == "\\") {
			out = out substr(rest, 1, 1)
			rest = substr(rest, 2)
		} else
			out = out c
	}
	return out
}

function quote(text,    out, i, c) {
	for (i = 1; i <= length(text); i++) {
		c = substr(text, i, 1)
		out = out (c == "\"" || c == "\\" ? "\\" : "") c
	}
	return "\"" out "\""
}

# value writes one as its kind wants it.
function value(kind, text) {
	if (kind == "bool" && text ~ /^(1|on|true|yes|enabled)$/)
		return "true"
	if (kind == "bool" && text ~ /^(0|off|false|no|disabled)$/)
		return "false"
	if (kind ~ /^ints?$/ && text ~ /^-?[0-9]+$/)
		return text
	return quote(text)
}

function set(table, key, text, more,    at, kind) {
	at = table "." key
	kind = kinds[at]
	if (kind == "map") {
		if (!index(text, "="))
			fail("write 'NAME=VALUE' for " key)
		text = quote(substr(text, 1, index(text, "=") - 1)) " = " quote(substr(text, index(text, "=") + 1))
	} else
		text = value(kind, text)
	if (!(at in values))
		keys[table] = keys[table] " " key
	else if (more && kind !~ /^(strings|ints|map)$/)
		fail(key " takes one value: write option, not list")
	else if (more)
		text = values[at] ", " text
	values[at] = text
}

NR == FNR {
	if (NF == 3) {
		kinds[$1 "." $2] = $3
		type = $1
		gsub(/\./, "_", type)
		tables[type] = $1
	}
	next
}

{
	line = FNR
	rest = $0
	what = word()
	if (!have || what == "package")
		next
	if (what == "config") {
		type = word()
		if (!have)
			fail("a section has no type")
		word() # its name says nothing
		table = type in tables ? tables[type] : type
		if (table != "service" && !(table in seen)) {
			seen[table] = 1
			order[++sections] = table
		}
		next
	}
	if (what != "option" && what != "list" || table == "")
		fail("neither package, config, option nor list")
	name = word()
	text = word()
	if (!have || name !~ /^[A-Za-z0-9_]+$/)
		fail("write: " what " NAME 'VALUE'")
	if (table != "service")
		set(table, name, text, what == "list")
}

# fallback sets what the file has not.
function fallback(table, key, text) {
	if (table "." key in values)
		return
	if (!(table in seen)) {
		seen[table] = 1
		order[++sections] = table
	}
	set(table, key, text, 0)
}

END {
	if (failed)
		exit 1
	# /var is in memory on OpenWrt, /etc is kept.
	fallback("state", "dir", "/etc/dynamod/state")
	fallback("state", "run", "/var/run/dynamod")
	if (netifd)
		fallback("uplink", "apply", "netifd")
	print "# Made from /etc/config by /etc/init.d/dynamod: change that."
	for (i = 1; i <= sections; i++) {
		print "\n[" order[i] "]"
		n = split(keys[order[i]], names, " ")
		for (j = 1; j <= n; j++) {
			at = order[i] "." names[j]
			if (kinds[at] ~ /^(strings|ints)$/ && values[at] == "\"\"")
				values[at] = "[]" # UCI has no empty list
			else if (kinds[at] ~ /^(strings|ints)$/)
				values[at] = "[" values[at] "]"
			else if (kinds[at] == "map")
				values[at] = "{ " values[at] " }"
			print names[j] " = " values[at]
		}
	}
}
