-- Alerts say the version of their rule and the revisions of its lists, and can be listed in order without sorting.

-- Before rules had versions each was its first.
ALTER TABLE alerts ADD COLUMN rule_version INTEGER NOT NULL DEFAULT 1;
ALTER TABLE alerts ADD COLUMN lists TEXT;  -- JSON object, null when the rule has none

DROP INDEX alerts_by_rule;
CREATE INDEX alerts_by_rule ON alerts (rule, mode, severity, event_time DESC, alert_id);
CREATE INDEX alerts_by_mode ON alerts (mode, severity, event_time DESC, alert_id);
