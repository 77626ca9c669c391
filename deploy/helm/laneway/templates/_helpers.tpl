{{- define "laneway.options" -}}
{{- range .Values.options }}
{{- . }}
{{ end -}}
{{- if .Values.events }}events
{{ end -}}
{{- end -}}
