# dynamod.toml on standard input, behind the file of keys: /etc/config/dynamod on
# standard output. Tables with keys of strings, numbers, booleans and their arrays, as
# dynamod's own files have them; other TOML is refused with its line.

function fail(text) {
	print "line " at ": " text >"/dev/stderr"
	failed = 1
	exit 1
}

# skip passes blanks, and with lines also line ends and comments.
function skip(lines) {
	for (;;) {
		sub(/^[ \t\r]+/, "", text)
		if (lines && substr(text, 1, 1) == "#")
			sub(/^[^\n]*/, "", text)
		if (!lines || substr(text, 1, 1) != "\n")
			return
		text = substr(text, 2)
		at++
	}
}

# string takes a string or another value off text.
function string(    out, c) {
	if (text ~ /^("""|''')/)
		fail("strings over several lines are not taken")
	c = substr(text, 1, 1)
	if (c == "'") {
		text = substr(text, 2)
		if (!(c = index(text, "'")) || index(substr(text, 1, c), "\n"))
			fail("a quote is not closed")
		out = substr(text, 1, c - 1)
		text = substr(text, c + 1)
	} else if (c == "\"") {
		text = substr(text, 2)
		while ((c = substr(text, 1, 1)) != "\"") {
			if (c == "" || c == "\n")
				fail("a quote is not closed")
			if (c == "\\" && (c = substr(text = substr(text, 2), 1, 1)) !~ /["\\]/)
				fail("\\" c " in a string is not taken")
			out = out c
			text = substr(text, 2)
		}
		text = substr(text, 2)
	} else if (match(text, /^[A-Za-z0-9_.+:-]+/)) {
		out = substr(text, 1, RLENGTH)
		text = substr(text, RLENGTH + 1)
		if (out ~ /^[+-]?[0-9][0-9_]*$/)
			gsub(/[+_]/, "", out)
	} else
		fail("no value")
	return out
}

function emit(what, name, value,    out, c) {
	while (c = index(value, "'")) {
		out = out substr(value, 1, c - 1) "'\\''"
		value = substr(value, c + 1)
	}
	if (type != begun)
		print "\nconfig " type " '" type "'"
	begun = type
	print "\t" what " " name " '" out value "'"
}

function expect(c) {
	if (substr(text, 1, 1) != c)
		fail("no " c)
	text = substr(text, 2)
}

# pairs takes NAME = VALUE, until end.
function pairs(name, end,    key) {
	for (skip(1); substr(text, 1, 1) != end; skip(1)) {
		key = string()
		skip(0)
		expect("=")
		skip(0)
		emit("list", name, key "=" string())
		skip(1)
		if (substr(text, 1, 1) == ",")
			text = substr(text, 2)
	}
	expect(end)
}

NR == FNR {
	if (NF == 3)
		kinds[$1 "." $2] = $3
	next
}

{ text = text $0 "\n" }

END {
	at = 1
	for (skip(1); text != "" && !failed; skip(1)) {
		if (substr(text, 1, 1) == "[") {
			if (!match(text, /^\[[A-Za-z0-9_.]+\][ \t\r]*(#[^\n]*)?\n/))
				fail("write [TABLE]")
			table = substr(text, 2, index(text, "]") - 2)
			text = substr(text, RLENGTH) # but for the line's end
			type = table
			gsub(/\./, "_", type)
			map = kinds[table] == "map"
			if (map)
				type = substr(table, 1, index(table, ".") - 1)
			continue
		}
		if (map)
			key = string()
		else if (match(text, /^[A-Za-z0-9_]+/)) {
			key = substr(text, 1, RLENGTH)
			text = substr(text, RLENGTH + 1)
		} else
			fail("no key")
		skip(0)
		expect("=")
		skip(0)
		if (table == "")
			fail("a key above the first [TABLE]")
		c = substr(text, 1, 1)
		if (map)
			emit("list", substr(table, index(table, ".") + 1), key "=" string())
		else if (c == "{" && kinds[table "." key] == "map") {
			text = substr(text, 2)
			pairs(key, "}")
		} else if (c == "[") {
			text = substr(text, 2)
			skip(1)
			if (substr(text, 1, 1) == "]")
				emit("list", key, "") # UCI has no empty list
			for (; substr(text, 1, 1) != "]"; skip(1)) {
				emit("list", key, string())
				skip(1)
				if (substr(text, 1, 1) == ",")
					text = substr(text, 2)
				else if (substr(text, 1, 1) != "]")
					fail("no , or ]")
			}
			text = substr(text, 2)
		} else
			emit("option", key, string())
		skip(0)
		if (substr(text, 1, 1) == "#")
			sub(/^[^\n]*/, "", text)
		if (text != "" && substr(text, 1, 1) != "\n")
			fail("something behind the value of " key)
	}
}
