{{- define "hookloom.name" -}}
{{- printf "%s" (ternary .Release.Name (printf "%s-hookloom" .Release.Name) (contains "hookloom" .Release.Name)) | trunc 52 | trimSuffix "-" -}}
{{- end -}}
{{- define "hookloom.selector" -}}
app.kubernetes.io/name: hookloom
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}
{{- define "hookloom.labels" -}}
{{ include "hookloom.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end -}}
{{- define "hookloom.project" -}}
{{ default (printf "%s-project" (include "hookloom.name" .)) .Values.project.existingConfigMap }}
{{- end -}}
