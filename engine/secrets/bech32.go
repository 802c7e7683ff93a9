package secrets

import "strings"

// bech32Letters are the digits of Bech32, in order of value.
const bech32Letters = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"

// bech32 encodes data as age encodes its identities: Bech32 of BIP 173
// (https://github.com/bitcoin/bips/blob/master/bip-0173.mediawiki) in upper case, without its limit
// of 90 characters.
func bech32(prefix string, data []byte) string {
	prefix = strings.ToLower(prefix)
	var digits []byte
	bits, n := 0, 0
	for _, b := range data {
		bits, n = bits<<8|int(b), n+8
		for n >= 5 {
			n -= 5
			digits = append(digits, byte(bits>>n&31))
		}
		bits &= 1<<n - 1
	}
	if n > 0 {
		digits = append(digits, byte(bits<<(5-n)&31))
	}
	var checked []byte
	for i := range len(prefix) {
		checked = append(checked, prefix[i]>>5)
	}
	checked = append(checked, 0)
	for i := range len(prefix) {
		checked = append(checked, prefix[i]&31)
	}
	sum := bech32Sum(append(append(checked, digits...), 0, 0, 0, 0, 0, 0)) ^ 1
	for i := range 6 {
		digits = append(digits, byte(sum>>(5*(5-i))&31))
	}
	out := []byte(prefix + "1")
	for _, d := range digits {
		out = append(out, bech32Letters[d])
	}
	return strings.ToUpper(string(out))
}

// bech32Sum returns the checksum: the remainder of a polynomial of degree 6 over GF(32).
func bech32Sum(digits []byte) uint32 {
	sum := uint32(1)
	for _, d := range digits {
		top := sum >> 25
		sum = sum&0x1ffffff<<5 ^ uint32(d)
		for i, g := range []uint32{0x3b6a57b2, 0x26508e6d, 0x1ea119fa, 0x3d4233dd, 0x2a1462b3} {
			if top>>i&1 == 1 {
				sum ^= g
			}
		}
	}
	return sum
}
