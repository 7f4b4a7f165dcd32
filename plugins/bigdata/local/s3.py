"""An S3 API over plain files: Adobe's S3Mock, on loopback only.

It keeps what it stores over restarts and checks no signatures: any credentials will do, which is why nothing but
loopback may reach it. An object is written to a file and then entered in its metadata; a crash in between leaves an
object that is not listed.
"""

from __future__ import annotations

import http.client
from collections.abc import Sequence

from bigdata.local.buckets import repair
from bigdata.local.jars import S3_VERSION
from bigdata.local.ports import HOST
from bigdata.local.service import Service, Site

# S3Mock's plain HTTP connector listens on all addresses and no setting changes that; Spring can call its setter.
_LOOPBACK = f"""\
<beans xmlns="http://www.springframework.org/schema/beans" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"
       xsi:schemaLocation="http://www.springframework.org/schema/beans
                           https://www.springframework.org/schema/beans/spring-beans.xsd">
  <bean class="org.springframework.beans.factory.config.MethodInvokingBean">
    <property name="targetObject" value="#{{webServerFactory.additionalTomcatConnectors[0]}}"/>
    <property name="targetMethod" value="setProperty"/>
    <property name="arguments"><list><value>address</value><value>{HOST}</value></list></property>
  </bean>
</beans>
"""


class S3(Service):
    """The S3 service."""

    name = "s3"
    version = S3_VERSION
    main_class = "com.adobe.testing.s3mock.S3MockApplication"
    jar_set = "s3"
    first_port = 19000

    def prepare(self, site: Site) -> None:
        """See :class:`Service`."""
        site.data.mkdir(parents=True, exist_ok=True)
        site.conf.mkdir(parents=True, exist_ok=True)
        (site.conf / "loopback.xml").write_text(_LOOPBACK)
        repair(site.data)

    def jvm_options(self, site: Site) -> Sequence[str]:
        """See :class:`Service`."""
        return ["-Xmx384m", "-XX:+UseSerialGC"]

    def arguments(self, site: Site) -> Sequence[str]:
        """Everything as arguments: they win over what a file or the environment may hold."""
        options = {
            "com.adobe.testing.s3mock.httpPort": site.port,
            "com.adobe.testing.s3mock.store.root": site.data.name,
            "com.adobe.testing.s3mock.store.retainFilesOnExit": "true",
            "com.adobe.testing.s3mock.region": "us-east-1",
            # The HTTPS connector cannot be left out, only made plain and put on some port nobody asks for.
            "server.port": 0,
            "server.address": HOST,
            "server.ssl.enabled": "false",
            "server.tomcat.max-swallow-size": -1,
            "spring.main.sources": (site.conf / "loopback.xml").as_uri(),
            "spring.main.banner-mode": "off",
        }
        return [f"--{key}={value}" for key, value in options.items()]

    def answers(self, port: int, timeout: float) -> bool:
        """List the buckets."""
        link = http.client.HTTPConnection(HOST, port, timeout=timeout)
        try:
            link.request("GET", "/")
            answer = link.getresponse()
            return answer.status == 200 and b"ListAllMyBucketsResult" in answer.read()
        except (OSError, http.client.HTTPException):
            return False
        finally:
            link.close()

    def url(self, port: int) -> str:
        """The endpoint."""
        return f"http://{HOST}:{port}"
