-- Alerts whose condition holds. They are told once, also over a restart.
CREATE TABLE alerts (
  kind      TEXT NOT NULL,
  subject   TEXT NOT NULL,
  trigger   TEXT NOT NULL,
  message   TEXT NOT NULL,
  opened_at INTEGER NOT NULL,
  PRIMARY KEY (kind, subject)
) WITHOUT ROWID;
