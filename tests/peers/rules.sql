-- Ten rules of Tamis in Flink SQL, and the settings that they are measured with (`cargo xtask bench --peers`).
--
-- The conditions are those of plugins/rules with their defaults, and an alert has the same id, so the two sets of alerts can be compared.
-- What differs:
--   * A sliding window fires here when the watermark has passed an event, in Tamis as soon as the event is there.
--   * What is late is said here by the watermark of all partitions, in Tamis by that of the record's own partition. The feed has no late records.
--   * What cannot be read is dropped here, and a dead letter in Tamis. A number in quotes is a number here, and cannot be read in Tamis; the feed
--     has it in records without keys, which no rule fires for.
--   * The only token that means null in the feed is N/A, as a country.
--   * An alert has here what every rule has. Tamis adds criteria, the context of the rule, version and hash of the plugin.

SET 'parallelism.default' = '2';
SET 'pipeline.object-reuse' = 'true';
SET 'state.backend.type' = 'hashmap';
SET 'execution.checkpointing.interval' = '${checkpoint_interval}';
SET 'execution.checkpointing.mode' = 'EXACTLY_ONCE';
SET 'execution.checkpointing.storage' = 'filesystem';
SET 'execution.checkpointing.dir' = 'file://${folder}/checkpoints';

CREATE TABLE payments_raw (
    payment_id STRING,
    order_id STRING,
    customer_id STRING,
    session_id STRING,
    amount DECIMAL(18, 2),
    `method` STRING,
    status STRING,
    risk_score INT,
    fraud_flag BOOLEAN,
    billing_country STRING,
    ip_country STRING,
    ip_address STRING,
    device_fingerprint STRING,
    card_ref STRING,
    card_masked STRING,
    user_agent STRING,
    processing_time_ms BIGINT,
    ts TIMESTAMP_LTZ(3) METADATA FROM 'timestamp',
    WATERMARK FOR ts AS ts - INTERVAL '10' SECOND
) WITH (
    'connector' = 'kafka',
    'topic' = 'payments',
    'properties.bootstrap.servers' = '${bootstrap}',
    'properties.group.id' = 'flink',
    'properties.isolation.level' = 'read_committed',
    'scan.startup.mode' = 'earliest-offset',
    'scan.bounded.mode' = 'latest-offset',
    'format' = 'json',
    'json.ignore-parse-errors' = 'true'
);

CREATE TABLE orders (
    event_id STRING,
    event_type STRING,
    order_id STRING,
    customer_id STRING,
    total DECIMAL(18, 2),
    subtotal DECIMAL(18, 2),
    discount DECIMAL(18, 2),
    item_count INT,
    ts TIMESTAMP_LTZ(3) METADATA FROM 'timestamp'
) WITH (
    'connector' = 'kafka',
    'topic' = 'orders',
    'properties.bootstrap.servers' = '${bootstrap}',
    'properties.group.id' = 'flink',
    'properties.isolation.level' = 'read_committed',
    'scan.startup.mode' = 'earliest-offset',
    'scan.bounded.mode' = 'latest-offset',
    'format' = 'json',
    'json.ignore-parse-errors' = 'true'
);

CREATE TABLE alerts (
    alert_id STRING,
    rule STRING,
    severity STRING,
    event_time TIMESTAMP_LTZ(3),
    `key` STRING,
    payment_id STRING,
    order_id STRING,
    customer_id STRING
) WITH (
    'connector' = 'kafka',
    'topic' = 'alerts_flink',
    'properties.bootstrap.servers' = '${bootstrap}',
    'properties.acks' = 'all',
    'properties.compression.type' = 'lz4',
    'properties.transaction.timeout.ms' = '600000',
    'sink.delivery-guarantee' = '${delivery}',
    'sink.transactional-id-prefix' = '${folder}',
    'format' = 'json',
    'json.timestamp-format.standard' = 'ISO-8601'
);

CREATE TEMPORARY VIEW payments AS
SELECT
    payment_id, order_id, customer_id, session_id, amount, status, risk_score, fraud_flag, billing_country,
    NULLIF(ip_country, 'N/A') AS ip_country,
    ip_address, device_fingerprint, card_ref, card_masked, user_agent, processing_time_ms, ts
FROM payments_raw
WHERE payment_id IS NOT NULL AND amount IS NOT NULL
    AND `method` IN ('card', 'paypal', 'sepa', 'apple_pay', 'google_pay')
    AND status IN ('succeeded', 'failed', 'pending', 'refunded')
    AND (risk_score IS NULL OR risk_score BETWEEN 0 AND 100);

-- Windows are open at their beginning, and times are whole milliseconds.
INSERT INTO alerts
SELECT
    LEFT(SHA256(rule || '|' || topic || '|' || id), 32), rule, severity, ts, `key`, CASE WHEN topic = 'payments' THEN id END, order_id, customer_id
FROM (
    SELECT 'payment-direct-fraud' AS rule, IF(criteria > 1, 'critical', 'high') AS severity, 'payments' AS topic, payment_id AS id,
        CAST(NULL AS STRING) AS `key`, order_id, customer_id, ts
    FROM (
        SELECT *,
            IF(fraud_flag, 1, 0) + IF(risk_score > 70, 1, 0) + IF(ip_country IN ('NG', 'RU', 'KP', 'IR', 'UA', 'VN'), 1, 0)
                + IF(status = 'failed' AND risk_score > 40, 1, 0) AS criteria
        FROM payments
    ) WHERE criteria > 0
    UNION ALL
    SELECT 'payment-high-amount', 'high', 'payments', payment_id, CAST(NULL AS STRING), order_id, customer_id, ts
    FROM payments WHERE amount > 1500
    UNION ALL
    SELECT 'fraud-bin', 'critical', 'payments', payment_id, CAST(NULL AS STRING), order_id, customer_id, ts
    FROM payments WHERE SUBSTRING(card_masked, 1, 6) IN ('400000', '411111', '510510', '555555')
    UNION ALL
    SELECT 'geo-mismatch', 'high', 'payments', payment_id, CAST(NULL AS STRING), order_id, customer_id, ts
    FROM payments WHERE billing_country <> ip_country AND risk_score > 60
    UNION ALL
    SELECT 'bot-checkout', 'high', 'payments', payment_id, CAST(NULL AS STRING), order_id, customer_id, ts
    FROM payments
    WHERE processing_time_ms < 300
        AND REGEXP(user_agent, '(?i)bot|crawl|spider|headless|curl|python-requests|selenium|phantom')
    UNION ALL
    SELECT 'order-anomaly', IF(criteria > 1, 'high', 'warning'), 'orders', event_id, CAST(NULL AS STRING), order_id, customer_id, ts
    FROM (
        SELECT *,
            IF(event_type = 'created' AND total > 3000, 1, 0)
                + IF(event_type = 'created' AND subtotal > 0 AND 100 * discount > 30 * subtotal, 1, 0)
                + IF(event_type = 'cancelled' AND item_count > 4, 1, 0) AS criteria
        FROM orders
    ) WHERE criteria > 0
    UNION ALL
    SELECT 'card-testing', 'critical', 'payments', payment_id, session_id, order_id, customer_id, ts
    FROM (
        SELECT payment_id, order_id, customer_id, session_id, ts, COUNT(*) OVER (
            PARTITION BY session_id ORDER BY ts RANGE BETWEEN INTERVAL '4.999' SECOND PRECEDING AND CURRENT ROW) AS attempts
        FROM payments WHERE session_id IS NOT NULL
    ) WHERE attempts > 3
    UNION ALL
    SELECT 'card-wallet', 'critical', 'payments', payment_id, customer_id, order_id, customer_id, ts
    FROM (
        SELECT payment_id, order_id, customer_id, ts, COUNT(DISTINCT card_ref) OVER (
            PARTITION BY customer_id ORDER BY ts RANGE BETWEEN INTERVAL '9:59.999' MINUTE TO SECOND PRECEDING AND CURRENT ROW) AS cards
        FROM payments WHERE customer_id IS NOT NULL AND card_ref IS NOT NULL
    ) WHERE cards > 2
    UNION ALL
    SELECT 'shared-device', 'critical', 'payments', payment_id, device_fingerprint, order_id, customer_id, ts
    FROM (
        SELECT payment_id, order_id, customer_id, device_fingerprint, ts, COUNT(DISTINCT customer_id) OVER (
            PARTITION BY device_fingerprint ORDER BY ts RANGE BETWEEN INTERVAL '4:59.999' MINUTE TO SECOND PRECEDING AND CURRENT ROW) AS customers
        FROM payments WHERE device_fingerprint IS NOT NULL AND customer_id IS NOT NULL
    ) WHERE customers > 3
    UNION ALL
    SELECT 'shared-ip', 'high', 'payments', payment_id, ip_address, order_id, customer_id, ts
    FROM (
        SELECT payment_id, order_id, customer_id, ip_address, ts, COUNT(DISTINCT customer_id) OVER (
            PARTITION BY ip_address ORDER BY ts RANGE BETWEEN INTERVAL '4:59.999' MINUTE TO SECOND PRECEDING AND CURRENT ROW) AS customers
        FROM payments WHERE ip_address IS NOT NULL AND customer_id IS NOT NULL
    ) WHERE customers > 2
);
