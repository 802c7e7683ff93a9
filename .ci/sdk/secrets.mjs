// The secrets of the test project: text, a Standard Webhooks key, 64 letters, hex.
export const TEXT = 'sdk-secret-0123456789abcdef'
export const WHSEC = 'whsec_c2RrLXNlY3JldC0wMTIzNDU2Nzg5YWJjZGVm'
export const LONG = '0123456789abcdef'.repeat(4)
export const HEX = '44782DEF547AAA06C910C43932B1EB0C71FC68D9D0C057550C48EC2ACF6BA056'
