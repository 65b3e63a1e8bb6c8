package cluster

import "strings"

// Slots is the number of slots of a Redis Cluster.
const Slots = 16384

// Slot returns the slot of a key, from 0 to 16383, as CLUSTER KEYSLOT does: the
// CRC16 of its hash tag, or of the whole key if it has none. The tag is the text
// between the first { and the first } after it, unless that is empty.
func Slot(key string) uint16 {
	if _, after, found := strings.Cut(key, "{"); found {
		if tag, _, closed := strings.Cut(after, "}"); closed && tag != "" {
			key = tag
		}
	}
	return crc16(key) % Slots
}

// crc16 returns the XMODEM variant (polynomial 0x1021, initially 0), computed bit
// by bit: a key's slot is computed once, so a table would cost more than it saves.
func crc16(s string) uint16 {
	var crc uint16
	for i := range len(s) {
		crc ^= uint16(s[i]) << 8
		for range 8 {
			carry := crc >> 15
			crc = crc<<1 ^ carry*0x1021
		}
	}
	return crc
}
