package main

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/config/confighttp"
	"go.opentelemetry.io/collector/config/configopaque"
	"go.opentelemetry.io/collector/config/configoptional"
	"go.opentelemetry.io/collector/config/configretry"
	"go.opentelemetry.io/collector/consumer/consumererror"
	"go.opentelemetry.io/collector/exporter"
	"go.opentelemetry.io/collector/exporter/exporterhelper"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
)

// Stand-ins for the exporters `elasticsearch`, `opensearch` and `splunk_hec` of otelcol-contrib, whose modules the
// registry refuses. They know only the settings that our configuration has. Queue, retries, TLS and headers are the
// collector's own; what a store is sent, and which answers are final, is as their documents and issues say, with the
// faults that these name.

type queue = configoptional.Optional[exporterhelper.QueueBatchConfig]

func noQueue() queue {
	return configoptional.Default(exporterhelper.NewDefaultQueueConfig())
}

// one is a record with what surrounds it.
type one struct {
	resource pcommon.Resource
	record   plog.LogRecord
}

func all(logs plog.Logs) []one {
	var found []one
	for _, resource := range logs.ResourceLogs().All() {
		for _, scope := range resource.ScopeLogs().All() {
			for _, record := range scope.LogRecords().All() {
				found = append(found, one{resource.Resource(), record})
			}
		}
	}
	return found
}

func (o one) alone() plog.Logs {
	logs := plog.NewLogs()
	resource := logs.ResourceLogs().AppendEmpty()
	o.resource.CopyTo(resource.Resource())
	o.record.CopyTo(resource.ScopeLogs().AppendEmpty().LogRecords().AppendEmpty())
	return logs
}

// poster sends what an exporter has written.
type poster struct {
	settings exporter.Settings
	http     confighttp.ClientConfig
	client   *http.Client
}

func (p *poster) start(ctx context.Context, host component.Host) (err error) {
	p.client, err = p.http.ToClient(ctx, host.GetExtensions(), p.settings.TelemetrySettings)
	return err
}

func (p *poster) post(ctx context.Context, url string, body []byte, headers map[string]string) (int, http.Header, []byte, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		return 0, nil, nil, err
	}
	for name, value := range headers {
		request.Header.Set(name, value)
	}
	response, err := p.client.Do(request)
	if err != nil {
		return 0, nil, nil, err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	return response.StatusCode, response.Header, text, err
}

// answer is that of the bulk interface.
type answer struct {
	Items []map[string]struct {
		Status int             `json:"status"`
		Error  json.RawMessage `json:"error"`
	} `json:"items"`
}

func bulk(action, index string, documents []any) ([]byte, error) {
	var body bytes.Buffer
	encoder := json.NewEncoder(&body)
	for _, document := range documents {
		if err := encoder.Encode(map[string]any{action: map[string]string{"_index": index}}); err != nil {
			return nil, err
		}
		if err := encoder.Encode(document); err != nil {
			return nil, err
		}
	}
	return body.Bytes(), nil
}

var ndjson = map[string]string{"Content-Type": "application/x-ndjson"}

// ---- opensearch

type openSearchConfig struct {
	HTTP       confighttp.ClientConfig      `mapstructure:"http"`
	Retry      configretry.BackOffConfig    `mapstructure:"retry_on_failure"`
	Timeout    exporterhelper.TimeoutConfig `mapstructure:",squash"`
	Queue      queue                        `mapstructure:"sending_queue"`
	LogsIndex  string                       `mapstructure:"logs_index"`
	BulkAction string                       `mapstructure:"bulk_action"`
}

func newOpenSearch() exporter.Factory {
	return exporter.NewFactory(component.MustNewType("opensearch"), func() component.Config {
		return &openSearchConfig{
			HTTP: confighttp.NewDefaultClientConfig(), Retry: configretry.NewDefaultBackOffConfig(), Queue: noQueue(),
			Timeout: exporterhelper.NewDefaultTimeoutConfig(), LogsIndex: "ss4o_logs-default-namespace",
			BulkAction: "create",
		}
	}, exporter.WithLogs(func(ctx context.Context, set exporter.Settings, given component.Config) (exporter.Logs, error) {
		config := given.(*openSearchConfig)
		out := &poster{settings: set, http: config.HTTP}
		push := func(ctx context.Context, logs plog.Logs) error {
			records := all(logs)
			documents := make([]any, 0, len(records))
			for _, each := range records {
				documents = append(documents, simpleSchema(each))
			}
			body, err := bulk(config.BulkAction, config.LogsIndex, documents)
			if err != nil {
				return consumererror.NewPermanent(err)
			}
			status, _, text, err := out.post(ctx, strings.TrimSuffix(config.HTTP.Endpoint, "/")+"/_bulk", body, ndjson)
			var found answer
			if err == nil && status >= 300 {
				err = fmt.Errorf("flush: status: %d", status)
			} else if err == nil {
				err = json.Unmarshal(text, &found)
			}
			if err != nil {
				// Final, also without a connection: open-telemetry/opentelemetry-collector-contrib issue 49208
				return consumererror.NewPermanent(err)
			}
			var wrong []error
			for number, item := range found.Items {
				for _, result := range item {
					failed := fmt.Errorf("%d %s", result.Status, result.Error)
					switch {
					case slices.Contains([]int{429, 500, 502, 503, 504}, result.Status):
						wrong = append(wrong, consumererror.NewLogs(failed, records[number].alone()))
					case result.Status >= 300:
						wrong = append(wrong, consumererror.NewPermanent(failed))
					}
				}
			}
			return errors.Join(wrong...)
		}
		return exporterhelper.NewLogs(ctx, set, config, push, exporterhelper.WithStart(out.start),
			exporterhelper.WithTimeout(config.Timeout), exporterhelper.WithRetry(config.Retry),
			exporterhelper.WithQueue(config.Queue))
	}, component.StabilityLevelDevelopment))
}

// simpleSchema is a document of the Simple Schema for Observability.
func simpleSchema(each one) any {
	attributes := each.record.Attributes().AsRaw()
	attributes["data_stream"] = map[string]string{"dataset": "default", "namespace": "namespace", "type": "record"}
	return map[string]any{
		"@timestamp":        each.record.Timestamp().AsTime(),
		"observedTimestamp": time.Now(),
		"body":              each.record.Body().AsString(),
		"severity": map[string]any{
			"text": each.record.SeverityText(), "number": each.record.SeverityNumber(),
		},
		"attributes":           attributes,
		"resource":             each.resource.Attributes().AsRaw(),
		"instrumentationScope": map[string]any{},
	}
}

// ---- elasticsearch

type elasticsearchConfig struct {
	HTTP      confighttp.ClientConfig `mapstructure:",squash"`
	User      string                  `mapstructure:"user"`
	Password  configopaque.String     `mapstructure:"password"`
	APIKey    configopaque.String     `mapstructure:"api_key"`
	LogsIndex string                  `mapstructure:"logs_index"`
	Queue     queue                   `mapstructure:"sending_queue"`
	Retry     struct {
		Enabled         bool          `mapstructure:"enabled"`
		MaxRetries      int           `mapstructure:"max_retries"`
		InitialInterval time.Duration `mapstructure:"initial_interval"`
		MaxInterval     time.Duration `mapstructure:"max_interval"`
		RetryOnStatus   []int         `mapstructure:"retry_on_status"`
	} `mapstructure:"retry"`
}

func newElasticsearch() exporter.Factory {
	return exporter.NewFactory(component.MustNewType("elasticsearch"), func() component.Config {
		config := &elasticsearchConfig{HTTP: confighttp.NewDefaultClientConfig(), Queue: noQueue()}
		config.HTTP.Timeout = 90 * time.Second
		config.Retry.Enabled, config.Retry.MaxRetries, config.Retry.RetryOnStatus = true, 2, []int{429}
		config.Retry.InitialInterval, config.Retry.MaxInterval = 100*time.Millisecond, time.Minute
		return config
	}, exporter.WithLogs(func(ctx context.Context, set exporter.Settings, given component.Config) (exporter.Logs, error) {
		config := given.(*elasticsearchConfig)
		processed, err := set.MeterProvider.Meter("elasticsearch").Int64Counter("otelcol.elasticsearch.docs.processed")
		if err != nil {
			return nil, err
		}
		out := &poster{settings: set, http: config.HTTP}
		headers := map[string]string{"Content-Type": "application/x-ndjson"}
		if config.APIKey != "" {
			headers["Authorization"] = "ApiKey " + string(config.APIKey)
		}
		push := func(ctx context.Context, logs plog.Logs) error {
			records := all(logs)
			wait := config.Retry.InitialInterval
			for attempt := 0; ; attempt++ {
				again, err := elasticsearchPush(ctx, config, out, headers, records, processed)
				if len(again) == 0 {
					return err
				}
				if !config.Retry.Enabled || attempt >= config.Retry.MaxRetries {
					return errors.Join(err, errors.New("no more retries"))
				}
				select {
				case <-ctx.Done():
					return ctx.Err()
				case <-time.After(wait):
				}
				records, wait = again, min(2*wait, config.Retry.MaxInterval)
			}
		}
		return exporterhelper.NewLogs(ctx, set, config, push, exporterhelper.WithStart(out.start),
			exporterhelper.WithTimeout(exporterhelper.TimeoutConfig{}), exporterhelper.WithQueue(config.Queue))
	}, component.StabilityLevelDevelopment))
}

// elasticsearchPush sends records: those that are to be sent again, and what is wrong.
func elasticsearchPush(ctx context.Context, config *elasticsearchConfig, out *poster, headers map[string]string,
	records []one, processed metric.Int64Counter,
) ([]one, error) {
	documents := make([]any, 0, len(records))
	for _, each := range records {
		nanoseconds := each.record.Timestamp()
		if nanoseconds == 0 {
			nanoseconds = each.record.ObservedTimestamp()
		}
		documents = append(documents, map[string]any{
			"@timestamp":      fmt.Sprintf("%d.%06d", nanoseconds/1e6, nanoseconds%1e6),
			"body":            map[string]string{"text": each.record.Body().AsString()},
			"severity_text":   each.record.SeverityText(),
			"severity_number": each.record.SeverityNumber(),
			"attributes":      each.record.Attributes().AsRaw(),
			"resource":        map[string]any{"attributes": each.resource.Attributes().AsRaw()},
			"scope":           map[string]any{},
		})
	}
	body, err := bulk("create", config.LogsIndex, documents)
	if err != nil {
		return nil, err
	}
	status, _, text, err := out.post(ctx, strings.TrimSuffix(config.HTTP.Endpoint, "/")+"/_bulk", body, headers)
	if err != nil || slices.Contains(config.Retry.RetryOnStatus, status) {
		return records, errors.Join(err, fmt.Errorf("flush failed (%d)", status))
	}
	if status >= 300 {
		return nil, fmt.Errorf("flush failed (%d): %s", status, text)
	}
	var found answer
	if err := json.Unmarshal(text, &found); err != nil {
		return nil, err
	}
	var again []one
	for number, item := range found.Items {
		for _, result := range item {
			outcome := "success"
			switch {
			case slices.Contains(config.Retry.RetryOnStatus, result.Status):
				again = append(again, records[number])
				continue
			case result.Status >= 500:
				outcome = "failed_server"
			case result.Status >= 300:
				// Only counted: for the collector it is sent
				outcome = "failed_client"
			}
			processed.Add(ctx, 1, metric.WithAttributes(attribute.String("outcome", outcome)))
		}
	}
	return again, nil
}

// ---- splunk_hec

type splunkConfig struct {
	HTTP       confighttp.ClientConfig   `mapstructure:",squash"`
	Retry      configretry.BackOffConfig `mapstructure:"retry_on_failure"`
	Queue      queue                     `mapstructure:"sending_queue"`
	Token      configopaque.String       `mapstructure:"token"`
	Index      string                    `mapstructure:"index"`
	SourceType string                    `mapstructure:"sourcetype"`
	Metadata   struct {
		Host   string `mapstructure:"host"`
		Source string `mapstructure:"source"`
	} `mapstructure:"otel_attrs_to_hec_metadata"`
}

func newSplunk() exporter.Factory {
	return exporter.NewFactory(component.MustNewType("splunk_hec"), func() component.Config {
		config := &splunkConfig{
			HTTP: confighttp.NewDefaultClientConfig(), Retry: configretry.NewDefaultBackOffConfig(), Queue: noQueue(),
		}
		config.HTTP.Timeout = 10 * time.Second
		config.Metadata.Host, config.Metadata.Source = "host.name", "com.splunk.source"
		return config
	}, exporter.WithLogs(func(ctx context.Context, set exporter.Settings, given component.Config) (exporter.Logs, error) {
		config := given.(*splunkConfig)
		if config.Token == "" {
			return nil, errors.New("requires a non-empty \"token\"")
		}
		out := &poster{settings: set, http: config.HTTP}
		headers := map[string]string{
			"Authorization": "Splunk " + string(config.Token), "Content-Type": "application/json", "Content-Encoding": "gzip",
		}
		push := func(ctx context.Context, logs plog.Logs) error {
			var body bytes.Buffer
			packed := gzip.NewWriter(&body)
			encoder := json.NewEncoder(packed)
			for _, each := range all(logs) {
				if each.record.Body().AsString() == "" {
					continue // Splunk refuses an event without text
				}
				if err := encoder.Encode(hecEvent(config, each)); err != nil {
					return consumererror.NewPermanent(err)
				}
			}
			if err := packed.Close(); err != nil {
				return consumererror.NewPermanent(err)
			}
			status, header, text, err := out.post(ctx, config.HTTP.Endpoint, body.Bytes(), headers)
			switch {
			case err != nil:
				return err
			case status < 300:
				return nil
			case status == http.StatusBadRequest || status == http.StatusUnauthorized:
				return consumererror.NewPermanent(fmt.Errorf("%d %s", status, text))
			case status == http.StatusTooManyRequests || status == http.StatusServiceUnavailable:
				seconds, _ := time.ParseDuration(header.Get("Retry-After") + "s")
				return exporterhelper.NewThrottleRetry(fmt.Errorf("HTTP %d", status), seconds)
			}
			return fmt.Errorf("HTTP %d", status)
		}
		return exporterhelper.NewLogs(ctx, set, config, push, exporterhelper.WithStart(out.start),
			exporterhelper.WithTimeout(exporterhelper.TimeoutConfig{}), exporterhelper.WithRetry(config.Retry),
			exporterhelper.WithQueue(config.Queue))
	}, component.StabilityLevelDevelopment))
}

func hecEvent(config *splunkConfig, each one) any {
	fields := map[string]any{}
	event := map[string]any{
		"time":  time.Duration(each.record.Timestamp()).Round(time.Millisecond).Seconds(),
		"event": each.record.Body().AsRaw(), "host": "unknown", "fields": fields,
	}
	if text := each.record.SeverityText(); text != "" {
		fields["otel.log.severity.text"] = text
	}
	if number := each.record.SeverityNumber(); number != plog.SeverityNumberUnspecified {
		fields["otel.log.severity.number"] = number
	}
	if config.Index != "" {
		event["index"] = config.Index
	}
	if config.SourceType != "" {
		event["sourcetype"] = config.SourceType
	}
	for _, attributes := range []pcommon.Map{each.resource.Attributes(), each.record.Attributes()} {
		for name, value := range attributes.All() {
			switch name {
			case config.Metadata.Host:
				event["host"] = value.Str()
			case config.Metadata.Source:
				event["source"] = value.Str()
			default:
				fields[name] = value.AsRaw()
			}
		}
	}
	return event
}
