# shellcheck shell=bash
# Passwords and keys, made once and kept: a Secret that exists stays as it is. Sourced.

random() { head -c 32 /dev/urandom | base64 | tr '+/' '-_' | tr -d '\n'; }
of_secret() { kubectl --namespace "$1" get secret "$2" --output "jsonpath={.data.$3}" | base64 --decode; }

# secret NAMESPACE NAME KEY VALUE [KEY VALUE]...; no value is ever an argument of a process.
secret() {
  local namespace=$1 name=$2 text
  shift 2
  if kubectl --namespace "$namespace" get secret "$name" >/dev/null 2>&1; then return 0; fi
  text=""
  while [ $# -gt 0 ]; do
    text+="  $1: $(printf %s "$2" | base64 | tr -d '\n')"$'\n'
    shift 2
  done
  kubectl --namespace "$namespace" create -f - <<YAML
apiVersion: v1
kind: Secret
metadata:
  name: $name
data:
$text
YAML
}

make_secrets() {
  step "Secrets"
  secret airflow airflow-fernet-key fernet-key "$(random)"
  secret airflow airflow-api-secret-key api-secret-key "$(random)"
  secret airflow airflow-jwt-secret jwt-secret "$(random)"
  secret airflow airflow-admin username admin password "$(random | head -c 20)" email admin@example.org
  if has monitoring; then
    make_namespace monitoring
    secret monitoring grafana-admin username admin password "$(random | head -c 20)"
  fi
  local kafka='{"conn_type": "kafka", "extra": {"bootstrap.servers": "kafka-kafka-bootstrap.bigdata:9092"}}'
  local kubernetes='{"conn_type": "kubernetes", "extra": {"in_cluster": true}}'
  local aws
  case $OVERLAY in
    local)
      secret airflow airflow-postgres password "$(random)"
      secret airflow airflow-metadata connection \
        "postgresql+psycopg2://airflow:$(of_secret airflow airflow-postgres password | sed 's/=/%3D/g')@airflow-postgres:5432/airflow"
      secret bigdata aws-credentials AWS_ACCESS_KEY_ID bigdata AWS_SECRET_ACCESS_KEY "$(random)"
      aws="{\"conn_type\": \"aws\", \"login\": \"$(of_secret bigdata aws-credentials AWS_ACCESS_KEY_ID)\", \"password\":
        \"$(of_secret bigdata aws-credentials AWS_SECRET_ACCESS_KEY)\", \"extra\":
        {\"endpoint_url\": \"http://s3.bigdata:7070\", \"region_name\": \"us-east-1\"}}"
      ;;
    *)
      # By certificate: address and credentials are looked up in Strimzi's resources by each task (docs/kafka.md).
      kafka='{"conn_type": "kafka", "extra":
        {"strimzi.cluster": "kafka", "strimzi.namespace": "bigdata", "strimzi.listener": "tls", "strimzi.user": "airflow"}}'
      kubectl --namespace airflow get secret airflow-metadata >/dev/null 2>&1 || fail "Airflow's database is yours to give:
  kubectl --namespace airflow create secret generic airflow-metadata --from-file=connection=/dev/stdin
and on its input, without an end of line: postgresql+psycopg2://user:password@host:5432/airflow"
      aws="{\"conn_type\": \"aws\", \"extra\": {\"region_name\": \"${AWS_REGION:?the region of the buckets}\"}}"
      ;;
  esac
  secret airflow airflow-connections AIRFLOW_CONN_AWS_CONN "$aws" AIRFLOW_CONN_AWS_DEFAULT "$aws" \
    AIRFLOW_CONN_KAFKA_DEFAULT "$kafka" AIRFLOW_CONN_KUBERNETES_DEFAULT "$kubernetes"
}
