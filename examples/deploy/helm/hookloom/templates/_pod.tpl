{{- /* The pod of the StatefulSet (SQLite) and of the Deployment (PostgreSQL). */ -}}
{{- define "hookloom.pod" -}}
metadata:
  labels: {{- include "hookloom.labels" . | nindent 4 }}
  {{- with .Values.podAnnotations }}
  annotations: {{- toYaml . | nindent 4 }}
  {{- end }}
spec:
  {{- with .Values.imagePullSecrets }}
  imagePullSecrets: {{- toYaml . | nindent 4 }}
  {{- end }}
  automountServiceAccountToken: false
  # The server drains for graceSeconds, and closes its database after that.
  terminationGracePeriodSeconds: {{ add .Values.graceSeconds 20 }}
  securityContext:
    runAsNonRoot: true
    runAsUser: 65532
    runAsGroup: 65532
    fsGroup: 65532
    fsGroupChangePolicy: OnRootMismatch
    seccompProfile: {type: RuntimeDefault}
  containers:
    - name: hookloom
      image: "{{ .Values.image.repository }}:{{ default .Chart.AppVersion .Values.image.tag }}"
      imagePullPolicy: {{ .Values.image.pullPolicy }}
      args:
        - serve
        - /project
        {{- if not .Values.nodes }}
        - --db=/data/hookloom.db
        {{- end }}
        - --addr=:8080
        - --admin-addr={{ .Values.adminAddr }}
        - --grace={{ .Values.graceSeconds }}s
        - --log-format=json
        - --watch
      {{- with .Values.extraEnv }}
      env: {{- toYaml . | nindent 8 }}
      {{- end }}
      {{- if and .Values.nodes (semverCompare ">=1.30-0" .Capabilities.KubeVersion.Version) }}
      # Deliveries that are on their way to this pod are still accepted, until the Service has forgotten it.
      lifecycle: {preStop: {sleep: {seconds: 5}}}
      {{- end }}
      ports:
        - {name: hooks, containerPort: 8080}
        - {name: admin, containerPort: 8081}
      # /readyz is 503 while nothing can be stored; /healthz is 200 while the process runs.
      startupProbe:
        httpGet: {path: /healthz, port: hooks}
        periodSeconds: 2
        failureThreshold: 150
      readinessProbe:
        httpGet: {path: /readyz, port: hooks}
        periodSeconds: 5
      livenessProbe:
        httpGet: {path: /healthz, port: hooks}
        periodSeconds: 10
        failureThreshold: 6
      resources: {{- toYaml .Values.resources | nindent 8 }}
      securityContext:
        allowPrivilegeEscalation: false
        readOnlyRootFilesystem: true
        capabilities: {drop: [ALL]}
      volumeMounts:
        {{- if not .Values.nodes }}
        - {name: data, mountPath: /data}
        {{- end }}
        - {name: project, mountPath: /project, readOnly: true}
        - {name: secrets, mountPath: /run/secrets, readOnly: true}
        - {name: tmp, mountPath: /tmp}
  volumes:
    - name: project
      configMap:
        name: {{ include "hookloom.project" . }}
        {{- if .Values.project.existingConfigMap }}
        {{- with .Values.project.items }}
        items: {{- toYaml . | nindent 10 }}
        {{- end }}
        {{- else }}
        items:
          {{- range $name, $text := .Values.project.files }}
          - {key: {{ $name | quote }}, path: {{ $name | replace "__" "/" | quote }}}
          {{- end }}
        {{- end }}
    - name: secrets
      secret: {secretName: {{ .Values.secretName }}, defaultMode: 0440}
    - {name: tmp, emptyDir: {}}
  {{- with .Values.nodeSelector }}
  nodeSelector: {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .Values.tolerations }}
  tolerations: {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .Values.affinity }}
  affinity: {{- toYaml . | nindent 4 }}
  {{- end }}
{{- end -}}
