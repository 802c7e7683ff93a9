-- Programs of schema 5 and later can use the database after this migration.

-- Secrets that providers sent in handshakes, encrypted, and until when triggers wait for one.
CREATE TABLE hookloom.captured_secrets (
  name    TEXT COLLATE "C" PRIMARY KEY,
  trigger TEXT COLLATE "C" NOT NULL,
  sealed  BYTEA NOT NULL,
  at      BIGINT NOT NULL
);
CREATE TABLE hookloom.awaited_secrets (trigger TEXT COLLATE "C" PRIMARY KEY, until BIGINT NOT NULL);

-- Keys and certificates from an ACME authority, encrypted, and which process asks for one.
CREATE TABLE hookloom.certificates (name TEXT COLLATE "C" PRIMARY KEY, sealed BYTEA NOT NULL, at BIGINT NOT NULL);
CREATE TABLE hookloom.certificate_claims (
  name  TEXT COLLATE "C" PRIMARY KEY,
  owner TEXT COLLATE "C" NOT NULL,
  until BIGINT NOT NULL
);
