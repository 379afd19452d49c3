# Reads the events of `dynamod status --watch --json` and prints a line for each change
# of the link: interface, MTU, gateway, addresses, name servers, each "-" if there is
# none and lists with commas; "-" alone while there is no link.

# string takes a JSON string off text.
function string(    out, c) {
	text = substr(text, 2)
	while ((c = substr(text, 1, 1)) != "\"" && c != "") {
		if (c == "\\") { # names and addresses hold none
			out = out "?"
			text = substr(text, 3)
			continue
		}
		out = out c
		text = substr(text, 2)
	}
	text = substr(text, 2)
	return out
}

# value walks over one, and keeps in found what lies on the paths below .data.link.
function value(path,    c, key, all) {
	c = substr(text, 1, 1)
	if (c == "\"")
		return found[path] = string()
	if (c == "{" || c == "[") {
		text = substr(text, 2)
		while ((key = substr(text, 1, 1)) != "}" && key != "]" && key != "") {
			if (key == ",") {
				text = substr(text, 2)
				continue
			}
			if (c == "{") {
				key = string()
				text = substr(text, 2) # the colon
				value(path "." key)
			} else
				all = all (all == "" ? "" : ",") value(path "[]")
		}
		text = substr(text, 2)
		return found[path] = c == "[" ? all : "{"
	}
	match(text, /^[^],}]*/)
	found[path] = substr(text, 1, RLENGTH)
	text = substr(text, RLENGTH + 1)
	return found[path]
}

function field(name) {
	name = found[".data.link." name]
	return name == "" || name ~ /[ ?]/ ? "-" : name
}

/^\{"type":"status",/ {
	split("", found)
	text = $0
	value("")
	now = field("interface") == "-" ? "-" : field("interface") " " field("mtu") " " field("gateway") " " field("addresses") " " field("dns")
	if (now != last) {
		print now
		fflush()
	}
	last = now
}
